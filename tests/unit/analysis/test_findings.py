"""All rules together: abstaining, ranking, and the verdict."""

from __future__ import annotations

import json
import math

import pytest
from made_loops import (
    HEALTHY,
    LOOP,
    NO_LOOP,
    crowd,
    gil_loop,
    kinds,
    loop_of,
    socket_loop,
    starved,
    threads,
    trainer_thread,
)

from debottleneck.analysis.findings import diagnose, verdict
from debottleneck.analysis.policy import DEFAULT
from debottleneck.analysis.result import Loop, Where
from debottleneck.analysis.rules import RUN_RULES, STEP_RULES, Evidence, Rule


@pytest.mark.parametrize("rule", STEP_RULES)
def test_every_rule_abstains_on_a_healthy_loop(rule: Rule) -> None:
    """Nothing wrong, nothing said."""
    healthy = loop_of(HEALTHY, cores=2, threads=threads(trainer_thread(native=0.9)))
    assert rule(healthy, DEFAULT) == ()


@pytest.mark.parametrize("rule", STEP_RULES)
@pytest.mark.parametrize("loop", [LOOP, NO_LOOP])
def test_every_rule_abstains_without_data(rule: Rule, loop: Loop) -> None:
    """Empty tables give no finding and no error."""
    assert rule(Evidence(loop), DEFAULT) == ()


@pytest.mark.parametrize("rule", STEP_RULES)
def test_unattributed_time_is_no_evidence(rule: Rule) -> None:
    """Time without a cause, as when nothing was sampled, accuses nobody."""
    shares = {("load", "unattributed"): 0.6, ("forward", "unattributed"): 0.4}
    assert rule(loop_of(shares), DEFAULT) == ()


def test_too_few_steps_are_not_diagnosed() -> None:
    """Below five steps the only finding is that."""
    short = Loop(trainer_tid=1, found=True, rule="", measured=4)
    found = diagnose(loop_of({("load", "network"): 0.9}, loop=short))
    assert kinds(found) == ["too-short"]
    assert "4 steps were" in found[0].summary
    assert "--steps" in found[0].action
    assert "Gain" not in verdict(Evidence(short), found).action


def test_a_run_without_steps_is_diagnosed_as_a_whole() -> None:
    """GIL and waits count in any stage of the run; input rules stay silent."""
    found = diagnose(
        loop_of({("load", "gil"): 0.3, ("other", "network"): 0.5}, loop=NO_LOOP)
    )
    assert kinds(found) == ["waiting", "gil-contention"]
    assert found[0].summary == (
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
    found = diagnose(loop_of(shares))
    assert [one.share for one in found] == [0.25, 0.2, 0.15]
    assert [one.severity for one in found] == ["medium"] * 3


def test_the_same_time_is_diagnosed_once() -> None:
    """No two findings share stage and cause."""
    producer = {"name": "producer", "role": "loader", "python": 0.9}
    found = diagnose(starved(producer, "other"))
    assert len({(one.stage, one.cause) for one in found}) == len(found)


def test_missing_bounds_are_left_out() -> None:
    """Unknown intervals appear neither in the sentence nor in the evidence."""
    evidence = socket_loop()
    blank = evidence.causes.assign(low=math.nan, high=math.nan)
    (one,) = diagnose(Evidence(LOOP, evidence.stages, blank))
    assert "(" not in one.summary
    assert "share_low" not in one.evidence


@pytest.mark.parametrize(
    "evidence",
    [socket_loop(), gil_loop(), crowd(3, 2), crowd(0, 2), loop_of(HEALTHY)],
)
def test_evidence_is_plain_json(evidence: Evidence) -> None:
    """Everything a finding rests on can be written as strict JSON."""
    for one in diagnose(evidence):
        assert json.loads(json.dumps(one.evidence, allow_nan=False)) == one.evidence
        assert math.isfinite(one.ceiling)
        assert one.summary.endswith(".")
        assert one.action.endswith(".")


def test_a_share_of_one_has_a_finite_ceiling() -> None:
    """Nobody is promised an infinite gain."""
    assert DEFAULT.ceiling(1.0) == pytest.approx(100.0)
    assert DEFAULT.ceiling(0.0) == 1.0


def test_verdict_of_a_finding_has_three_lines() -> None:
    """What, on which line, what to do with the gain to expect."""
    evidence = socket_loop()
    told = verdict(evidence, diagnose(evidence))
    assert "waiting for the network" in told.what
    assert told.where == "In `read_rows` (train.py:14) and `load_batch` (train.py:20)."
    assert told.action.endswith("Gain to expect: up to 2.6x if that wait vanished.")


def test_verdict_without_lines_uses_the_marked_place() -> None:
    """Without stacks the function that marks the stage is named."""
    place = Where("load_batch", "/home/u/train.py", 12)
    evidence = loop_of({("load", "sleep"): 0.9}, places={"load": place})
    told = verdict(evidence, diagnose(evidence))
    assert told.where == "In `load_batch` (train.py:12)."


def test_verdict_of_a_healthy_loop() -> None:
    """Nothing is wrong, and what the time goes to."""
    told = verdict(loop_of(HEALTHY), ())
    assert told.what == (
        "Nothing is wrong: the time of each step goes to native code in `backward` "
        "(36 %), native code in `forward` (30 %) and native code in `update` (18 %)."
    )
    assert "at most 1.6x" in told.action


@pytest.mark.parametrize("cause", ["", "unattributed"])
def test_verdict_without_causes_does_not_call_it_healthy(cause: str) -> None:
    """What was not measured is not "nothing wrong"."""
    evidence = loop_of(
        {("load", "unattributed"): 0.7, ("forward", "unattributed"): 0.3}
    )
    told = verdict(evidence if cause else Evidence(LOOP, evidence.stages), ())
    assert told.what == (
        "What the stages wait for was not measured; the step's time: 70 % in `load` "
        "and 30 % in `forward`."
    )


def test_verdict_admits_much_unknown_time() -> None:
    """A third without a cause is not called healthy either."""
    shares = {("forward", "unattributed"): 0.4, ("forward", "native"): 0.6}
    assert "no known cause" in verdict(loop_of(shares), ()).what


def test_verdict_without_steps_says_how_to_mark() -> None:
    """A script without a loop is told why, and how to mark its stages."""
    told = verdict(loop_of({("other", "native"): 1.0}, loop=NO_LOOP), ())
    assert told.what.startswith("No training steps were found (no stage was seen)")
    assert "--stage" in told.action
