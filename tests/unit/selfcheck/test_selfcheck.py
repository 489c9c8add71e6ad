"""The self-check's judgement: verdicts, sentences, exit codes, from made results."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from debottleneck.commands import main
from debottleneck.report.text import selfcheck as rendered
from debottleneck.selfcheck.accuracy import Truth
from debottleneck.selfcheck.cases import IN_TRAINER, LOADER, cases
from debottleneck.selfcheck.cost import Gathered, costs
from debottleneck.selfcheck.result import (
    NOT_JUDGED,
    OFF,
    OK,
    SKIPPED,
    Check,
    CheckedMachine,
    InstrumentCost,
    Row,
    exit_code,
    failures,
    judged,
    judged_cost,
    reasons,
)
from debottleneck.words import CAUSES

MACHINE = CheckedMachine("/usr/bin/python3", "3.11.2", 2, None, 0.1, True)
ROW = Row(("sleep",), "sleep", "trainer", 0.4, 0.39, 0.40, -0.5, 2.5, 0.1, OK)
COST = InstrumentCost("marks + waits", 5.0, 0.01, -0.01, 0.02, 0.02, OK, "5 rounds")


def check(
    *rows: Row,
    machine: CheckedMachine = MACHINE,
    costs: tuple[InstrumentCost, ...] = (),
) -> Check:
    """A check of those rows."""
    return Check(machine, rows, costs)


def row(error: float, **changes: object) -> Row:
    """A row with that error in points, judged."""
    made = replace(ROW, attributed=ROW.truth + error / 100, **changes)  # type: ignore[arg-type]
    verdict, note = judged(made)
    return replace(made, verdict=verdict, note=note)


@pytest.mark.parametrize(
    ("error", "foreign", "verdict"),
    [
        (0.0, 0.0, OK),
        (3.9, 0.1, OK),
        (-3.9, None, OK),
        (4.1, 0.1, OFF),
        (-4.1, 0.5, OFF),
        (20.0, 0.6, NOT_JUDGED),
        (math.nan, 0.0, OFF),
    ],
)
def test_row_verdict(error: float, foreign: float | None, verdict: str) -> None:
    """Beyond the bound is off, unless others kept the machine busy."""
    assert row(error, foreign=foreign).verdict == verdict


@pytest.mark.parametrize(
    ("slowdown", "low", "bound", "foreign", "verdict"),
    [
        (0.01, -0.1, 0.02, None, OK),
        (0.03, 0.01, 0.02, 0.0, OFF),
        (0.03, -0.01, 0.02, 0.0, NOT_JUDGED),
        (0.03, 0.01, 0.02, 1.0, NOT_JUDGED),
        (0.50, 0.40, None, 0.0, NOT_JUDGED),
        (math.nan, math.nan, 0.02, 0.0, NOT_JUDGED),
    ],
)
def test_cost_verdict(
    slowdown: float, low: float, bound: float | None, foreign: float, verdict: str
) -> None:
    """A cost is off only when it is beyond its bound and beyond the noise."""
    cost = replace(COST, slowdown=slowdown, low=low, bound=bound)
    assert judged_cost(cost, foreign) == verdict


def test_all_well() -> None:
    """Small errors and small costs: no sentence, exit code 0."""
    found = check(row(1.0), row(-1.2), costs=(COST,))
    assert failures(found) == []
    assert exit_code(found) == 0
    assert found.median_error == pytest.approx(1.1)
    assert found.worst_error == pytest.approx(1.2)
    assert "within bounds" in rendered.render(found)


LEFT_OUT = Row(("disk",), "disk", "trainer", 0.4, verdict=SKIPPED, note="tmpfs")
DISTURBED = Row((), "", "trainer", 0.0, verdict=OFF, note="input is slow")
DEAR = replace(COST, slowdown=0.05, verdict=OFF)


@pytest.mark.parametrize(
    ("found", "said", "shown"),
    [
        (check(row(0.1), row(0.1), row(7.0)), "1 of 3 attributions", "worst 7.0"),
        (check(*[row(2.0)] * 3), "the median error is 2.0 points", "median"),
        (check(row(0.0), DISTURBED), "in peace: input is slow", "input is slow"),
        (check(row(0.0), costs=(DEAR,)), "marks + waits cost 5.0%, more than 2%", "5"),
        (check(*[row(9.0, foreign=1.4)] * 2), "", "too busy"),
        (check(row(0.0), LEFT_OUT), "", "tmpfs"),
    ],
    ids=["a row", "a bias", "the healthy loop", "a cost", "busy", "skipped"],
)
def test_what_exceeds_its_bound_fails_the_check(
    found: Check, said: str, shown: str
) -> None:
    """Exit code 1 and a sentence; what was not judged is neither right nor wrong."""
    sentences = failures(found)
    assert [said in sentence for sentence in sentences] == [True] * bool(said)
    assert exit_code(found) == bool(said)
    assert shown in " ".join(rendered.render(found).split())


def test_interrupted_prints_what_there_is() -> None:
    """After Ctrl-C the rows measured so far appear, and the exit code says so."""
    found = replace(check(row(1.0)), interrupted=True)
    assert exit_code(found) == 130
    text = rendered.render(found)
    assert "Interrupted" in text
    assert "sleep" in text


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"problems": ("waits could not be measured (denied): --cap-add",)}, "cap-add"),
        ({"schedstat": False}, "schedstat"),
        ({"quota": 1.5}, "quota of 1.5"),
        ({"foreign": 1.9}, "busy"),
    ],
)
def test_what_may_be_wrong(changes: dict[str, object], word: str) -> None:
    """Each noticed handicap of the machine has its sentence beside the failure."""
    machine = replace(MACHINE, **changes)  # type: ignore[arg-type]
    found = check(row(9.0), machine=machine)
    assert any(word in sentence for sentence in reasons(found))
    text = " ".join(rendered.render(found).split())
    assert "NOT within bounds" in text
    assert word in text


def test_text_fits_eighty_columns() -> None:
    """The widest row and every sentence stay readable on a narrow terminal."""
    mixed = row(-1.0, causes=("network", "python", "sleep"), cause="network")
    found = check(mixed, row(20.0, foreign=1.3), costs=(COST,))
    assert all(len(line) <= 80 for line in rendered.render(found).splitlines())


def test_progress_line_has_the_numbers() -> None:
    """A row as it comes: cause, place, truth, what was found, error."""
    line = rendered.row_line(row(1.0))
    assert line.split()[:2] == ["sleep", "trainer"]
    assert "39.0 %" in line
    assert "+1.0" in line


def test_plan_covers_every_cause() -> None:
    """All causes but the remainder, at three strengths; some in a loader too."""
    plan = cases()
    single = [case for case in plan if len(case.causes) == 1 and case.place != LOADER]
    assert {case.causes[0] for case in single} == set(CAUSES) - {
        "unattributed",
        "device",
    }
    assert len(single) == 3 * len(IN_TRAINER)
    assert sum(not case.causes for case in plan) == 1
    assert sum(len(case.causes) == 3 for case in plan) == 3
    assert sum(case.seconds for case in plan) < 90
    assert sum(case.seconds for case in cases(quick=True)) < 25


def truth_of(*causes: str) -> Truth:
    """Two rounds of 20 ms; each cause has 5 ms wall, 1 ms CPU, 1 ms delay."""
    ms = 1_000_000
    told = {
        "causes": list(causes),
        "start_ns": [0, 20 * ms],
        "end_ns": [20 * ms, 40 * ms],
        "parts": [[[5 * ms, ms, ms, ms // 2]] * len(causes)] * 2,
    }
    return Truth.of(told)


@pytest.mark.parametrize(
    ("cause", "ms"),
    [("python", 1), ("native", 1), ("runqueue", 1), ("sleep", 3), ("gil", 3)],
)
def test_truth_by_cause(cause: str, ms: int) -> None:
    """CPU time for work, delay for the queue, the remainder for waiting."""
    assert truth_of(cause).of_cause(cause) == pytest.approx(np.full(2, ms * 1e6))


def test_doubt_of_a_mixture() -> None:
    """The CPU time of waits may be Python or native: it widens those intervals."""
    mixed = truth_of("python", "sleep", "lock")
    assert mixed.doubt("python") == pytest.approx(np.full(2, 2e6))
    assert mixed.doubt("sleep") == pytest.approx(np.zeros(2))


def test_costs_are_ratios_within_rounds() -> None:
    """Each round is held against its own plain run, so drift cancels."""
    pairs = [(5.05, 5.0), (10.1, 10.0), (7.07, 7.0)]
    (cost,) = costs(Gathered({"marks + waits": pairs}), 0.0)
    assert cost.slowdown == pytest.approx(0.01)
    assert cost.low == pytest.approx(0.01)
    assert cost.verdict == OK


def test_an_interpreter_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Refused at the door, with the option that cures it."""
    assert main(["selfcheck", "--python", "/no/such/python"]) == 2
    assert "--python" in capsys.readouterr().err
