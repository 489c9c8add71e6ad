"""Diagnosis: all rules asked, their findings ranked."""

from __future__ import annotations

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules import RUN_RULES, STEP_RULES
from debottleneck.analysis.rules.device import as_the_device_idles
from debottleneck.analysis.rules.guards import too_short

RANK = {"machine-busy": 1, "compute-bound": 2, "slow-start": 3}
"""The script's own causes at 0 come before the machine's, computing after both; what
comes once in a run is last."""


def diagnose(analysis: Analysis) -> tuple[Finding, ...]:
    """What holds the loop up: the headline first, the rest by time at stake.

    Returns:
        Findings, none for a healthy loop or where nothing was measured. A loop of
        too few steps gets that one finding and no diagnosis.
    """
    short = tuple(too_short(analysis))
    if short:
        return short
    rules = STEP_RULES if analysis.loop.found else RUN_RULES
    findings = [finding for rule in rules for finding in rule(analysis)]
    findings = as_the_device_idles(analysis, findings)
    return tuple(sorted(_distinct(_without_symptoms(findings)), key=_rank))


def _without_symptoms(findings: list[Finding]) -> list[Finding]:
    """With too many threads for the cores, waits for locks among them follow."""
    if not any(finding.kind == "oversubscription" for finding in findings):
        return findings
    return [f for f in findings if (f.kind, f.cause) != ("waiting", "lock")]


def _distinct(findings: list[Finding]) -> list[Finding]:
    """One finding for the same time: a stage's cause is diagnosed once."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.stage, finding.cause), finding)
    return list(kept.values())


def _rank(finding: Finding) -> tuple[int, float]:
    return RANK.get(finding.kind, 0), -finding.share
