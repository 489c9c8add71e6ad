"""All rules together: abstaining, ranking, and the verdict."""

from __future__ import annotations

import json
import math
from dataclasses import replace

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
    socket_loop,
    starved,
    threads,
    trainer_thread,
)

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Analysis
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
    blank = analysis.causes.assign(share_low=math.nan, share_high=math.nan)
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
