"""All rules together: abstaining, ranking, and the verdict."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from made_loops import (
    HEALTHY,
    LOOP,
    NO_LOOP,
    analysis_of,
    crowd,
    gil_loop,
    kinds,
    loop_of,
    rows,
    socket_loop,
    starved,
    threads,
    trainer_thread,
)
from made_runs import PID, table

from debottleneck.analysis.findings import diagnose, verdict
from debottleneck.analysis.frames import COLUMNS, empty
from debottleneck.analysis.result import Analysis, Candidate
from debottleneck.analysis.rules import RUN_RULES, STEP_RULES, Rule
from debottleneck.analysis.thresholds import THRESHOLDS

NOTHING_WRONG = {
    "a healthy loop": loop_of(
        HEALTHY, cores=2, threads=threads(trainer_thread(native=0.9))
    ),
    "no data": analysis_of(),
    "no data and no loop": analysis_of(NO_LOOP),
    "time without a cause": loop_of(
        {("load", "unattributed"): 0.6, ("forward", "unattributed"): 0.4}
    ),
}


@pytest.mark.parametrize("rule", STEP_RULES)
@pytest.mark.parametrize("analysis", NOTHING_WRONG.values(), ids=NOTHING_WRONG)
def test_every_rule_abstains(rule: Rule, analysis: Analysis) -> None:
    """Nothing wrong, or nothing known, nothing said."""
    assert list(rule(analysis)) == []


def test_too_few_steps_are_not_diagnosed() -> None:
    """Below five steps the only finding is that."""
    short = loop_of({("load", "network"): 0.9}, loop=replace(LOOP, measured=4))
    findings = diagnose(short)
    assert kinds(findings) == ["too-short"]
    assert "4 steps were" in findings[0].summary
    assert "--steps" in findings[0].action
    assert "Gain" not in verdict(short, findings).action


def test_a_run_without_steps_is_diagnosed_as_a_whole() -> None:
    """GIL and waits count in any stage of the run; input rules stay silent."""
    findings = diagnose(
        loop_of({("load", "gil"): 0.3, ("other", "network"): 0.5}, loop=NO_LOOP)
    )
    assert kinds(findings) == ["waiting", "gil-contention"]
    assert findings[0].summary == (
        "The main thread spends 50 % of the run waiting for the network."
    )
    assert len(RUN_RULES) < len(STEP_RULES)


def test_findings_rank_by_time_to_gain() -> None:
    """The largest share comes first."""
    shares = {
        ("load", "disk"): 0.15,
        ("load", "network"): 0.25,
        ("update", "sleep"): 0.2,
    }
    findings = diagnose(loop_of(shares))
    assert [finding.share for finding in findings] == [0.25, 0.2, 0.15]
    assert [finding.severity for finding in findings] == ["medium"] * 3


def test_the_same_time_is_diagnosed_once() -> None:
    """No two findings share stage and cause."""
    producer = {"name": "producer", "role": "loader", "python": 0.9}
    findings = diagnose(starved(producer, "other"))
    assert len({(one.stage, one.cause) for one in findings}) == len(findings)


def test_missing_bounds_are_left_out() -> None:
    """Unknown intervals appear neither in the sentence nor in the evidence."""
    analysis = loop_of({("load", "network"): 0.62, ("forward", "native"): 0.38})
    blank = analysis.causes.assign(low=math.nan, high=math.nan)
    (finding,) = diagnose(replace(analysis, causes=blank))
    assert "(" not in finding.summary
    assert "share_low" not in finding.evidence


@pytest.mark.parametrize(
    "analysis", [socket_loop(), gil_loop(), crowd(3), crowd(0), loop_of(HEALTHY)]
)
def test_evidence_is_plain_json(analysis: Analysis) -> None:
    """Everything a finding rests on can be written as strict JSON."""
    for finding in diagnose(analysis):
        written = json.dumps(finding.evidence, allow_nan=False)
        assert json.loads(written) == finding.evidence
        assert math.isfinite(finding.ceiling)
        assert finding.summary.endswith(".")
        assert finding.action.endswith(".")


def test_a_share_of_one_has_a_finite_ceiling() -> None:
    """Nobody is promised an infinite gain."""
    assert THRESHOLDS.ceiling(1.0) == pytest.approx(100.0)
    assert THRESHOLDS.ceiling(0.0) == 1.0


def test_verdict_of_a_finding_has_three_lines() -> None:
    """What, on which line, what to do with the gain to expect."""
    analysis = socket_loop()
    lines = verdict(analysis, diagnose(analysis))
    assert "waiting for the network" in lines.what
    assert lines.where == "In `read_rows` (train.py:14) and `load_batch` (train.py:20)."
    assert lines.action.endswith("Gain to expect: up to 2.6x if that wait vanished.")


def test_verdict_without_lines_uses_the_marked_place() -> None:
    """Without stacks the function is named whose marks took most of the stage."""
    sites = [
        (PID, 3, "load", "load_batch", "/home/u/train.py", 12, "function"),
        (PID, 4, "load", "next_batch", "/home/u/train.py", 40, "function"),
        (PID, 5, "load", "torch DataLoader", "", 0, "torch"),
    ]
    spans = [(3, 0, 10), (4, 10, 15), (5, 20, 90)]
    segments = [
        {"pid": PID, "stage": "load", "site": site, "start_ns": start, "end_ns": end}
        for site, start, end in spans
    ]
    analysis = loop_of(
        {("load", "sleep"): 0.9},
        segments=rows("segments", segments),
        sites=table("sites", sites),
    )
    lines = verdict(analysis, diagnose(analysis))
    assert lines.where == "In `load_batch` (train.py:12)."


def test_verdict_of_a_healthy_loop() -> None:
    """Nothing is wrong, and what the time goes to."""
    lines = verdict(loop_of(HEALTHY), ())
    assert lines.what == (
        "Nothing is wrong: the time of each step goes to native code in `backward` "
        "(36 %), native code in `forward` (30 %) and native code in `update` (18 %)."
    )
    assert "at most 1.6x" in lines.action


@pytest.mark.parametrize("sampled", [True, False])
def test_verdict_without_causes_does_not_call_it_healthy(sampled: bool) -> None:
    """What was not measured is not "nothing wrong"."""
    shares = {("load", "unattributed"): 0.7, ("forward", "unattributed"): 0.3}
    analysis = loop_of(shares)
    if not sampled:
        analysis = replace(analysis, causes=empty("causes"))
    assert verdict(analysis, ()).what == (
        "What the stages wait for was not measured; the step's time: 70 % in `load` "
        "and 30 % in `forward`."
    )


def test_verdict_admits_much_unknown_time() -> None:
    """A third without a cause is not called healthy either."""
    shares = {("forward", "unattributed"): 0.4, ("forward", "native"): 0.6}
    assert "no known cause" in verdict(loop_of(shares), ()).what


def line_of(stage: str, line: int) -> pd.DataFrame:
    """The lines table of a stage whose samples are all of one line."""
    row = (stage, "trainer", "MainThread", "main", "/w/train.py", line, 1.0)
    return pd.DataFrame([row], columns=[*COLUMNS["lines"]])


def test_verdict_without_steps_names_the_users_own_lines() -> None:
    """A script without a loop is told why, and what to name, ready to paste."""
    shares = {("other", "native"): 1.0}
    lines = verdict(loop_of(shares, loop=NO_LOOP), ())
    assert lines.what.startswith("No training steps were found (no stage was seen)")
    assert lines.action == "Profile for longer, until a loop of the script repeats."
    lines = verdict(loop_of(shares, loop=NO_LOOP, lines=line_of("other", 17)), ())
    assert "around train.py:17" in lines.action
    other = Candidate("for x in data", "/w/train.py", 12, 400, "--step train.py:12")
    lines = verdict(loop_of(shares, loop=replace(NO_LOOP, others=(other,))), ())
    assert '"for x in data"' in lines.action
    assert "`--step train.py:12`" in lines.action
