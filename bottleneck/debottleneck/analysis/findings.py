"""Diagnosis: all rules asked, their findings ranked, and the verdict in three lines."""

from __future__ import annotations

from collections.abc import Iterable

from debottleneck.analysis.policy import DEFAULT, Policy
from debottleneck.analysis.result import Finding, Verdict
from debottleneck.analysis.rules import RUN_RULES, STEP_RULES, Evidence, too_short
from debottleneck.analysis.rules.evidence import (
    TRAINER,
    cost,
    records,
    trainer_stages,
)
from debottleneck.analysis.rules.evidence import where as lines_of
from debottleneck.analysis.rules.wording import DOING, inside, names, percent, spot
from debottleneck.words import CAUSES

HOW_TO_MARK = (
    "Mark the stages: `--stage load=module:function` on the command line, or "
    '`with debottleneck.stage("load"):` in the script.'
)

RANK = {"machine-busy": 0, "compute-bound": 2}
"""A busy machine comes before all else, computing after it; the rest at 1."""

GUARDS = ("too-short", "machine-busy")
"""Kinds that say why nothing is diagnosed."""

NO_GAIN = (*GUARDS, "compute-bound")
"""Kinds that promise nothing: computing is what the loop is for."""

WAITS = ("gil", "lock", "disk", "network", "ipc", "sleep", "runqueue")

IN_TIME = {**DOING, "python": "Python code", "native": "native code"}
"""What time is spent on, in a list."""

NEARLY_ALL = 0.999
"""Unattributed time beyond this is all of it, but for rounding."""

PARTS, SMALLEST = 3, 0.01
"""A verdict without finding names this many parts of the time, none below 1 %."""


def diagnose(evidence: Evidence, policy: Policy = DEFAULT) -> tuple[Finding, ...]:
    """What holds the loop up: the headline first, the rest by time to gain.

    Args:
        evidence: The tables of an analysis.
        policy: The thresholds.

    Returns:
        Findings, none for a healthy loop or where nothing was measured. A loop of
        too few steps gets that one finding and no diagnosis.
    """
    short = too_short(evidence, policy)
    if short:
        return short
    rules = STEP_RULES if evidence.loop.found else RUN_RULES
    found = [one for rule in rules for one in rule(evidence, policy)]
    return tuple(sorted(_distinct(_without_symptoms(found)), key=_rank))


def _without_symptoms(found: list[Finding]) -> list[Finding]:
    """With too many threads for the cores, waits for locks among them follow."""
    if not any(one.kind == "oversubscription" for one in found):
        return found
    return [one for one in found if (one.kind, one.cause) != ("waiting", "lock")]


def _distinct(found: Iterable[Finding]) -> list[Finding]:
    """One finding for the same time: a stage's cause is diagnosed once."""
    kept: dict[tuple[str, str], Finding] = {}
    for one in found:
        kept.setdefault((one.stage, one.cause), one)
    return list(kept.values())


def _rank(one: Finding) -> tuple[int, float]:
    return RANK.get(one.kind, 1), -one.share


def verdict(
    evidence: Evidence, findings: tuple[Finding, ...], policy: Policy = DEFAULT
) -> Verdict:
    """The three lines: what the loop waits for, on which line, what to do.

    Args:
        evidence: What `findings` were diagnosed from.
        findings: What `diagnose` returned; the first is the headline.
        policy: The thresholds.
    """
    if findings:
        return _of_headline(findings[0])
    if not _causes_known(evidence):
        return _of_no_causes(evidence)
    return _of_no_finding(evidence, policy)


def _of_headline(headline: Finding) -> Verdict:
    places = [spot(place) for place in headline.where]
    place = f"In {names(places)}." if places else _no_line(headline)
    return Verdict(headline.summary, place, headline.action + _gain(headline))


def _no_line(headline: Finding) -> str:
    if headline.kind in GUARDS:
        return "This concerns the run as a whole, not a line of it."
    return "The line is not known: no stacks were taken of it."


def _gain(headline: Finding) -> str:
    if headline.kind in NO_GAIN:
        return ""
    whole = headline.kind == "between-steps" or headline.cause not in WAITS
    thing = "that time" if whole else "that wait"
    return f" Gain to expect: up to {headline.ceiling:.1f}x if {thing} vanished."


def _causes_known(evidence: Evidence) -> bool:
    """False when the trainer's time has no cause at all: nothing sampled it."""
    whole = cost(evidence, trainer_stages(evidence), CAUSES)
    unknown = cost(evidence, trainer_stages(evidence), ["unattributed"])
    if whole is None:
        return False
    return unknown is None or whole.ms == 0 or unknown.ms < NEARLY_ALL * whole.ms


def _of_no_causes(evidence: Evidence) -> Verdict:
    known = evidence.stages.sort_values("share", ascending=False).head(PARTS)
    parts = [f"{percent(row['share'])} in `{row['stage']}`" for row in records(known)]
    time = f"; the step's time: {names(parts)}" if parts else ""
    return Verdict(
        f"What the stages wait for was not measured{time}.",
        "No line can be blamed without causes.",
        "See below what was not measured and how to enable it, and profile again.",
    )


def _of_no_finding(evidence: Evidence, policy: Policy) -> Verdict:
    parts = _largest_parts(evidence)
    whole = "each step" if evidence.loop.found else "the run"
    goes = names([text for _, text in parts])
    unknown = cost(evidence, trainer_stages(evidence), ["unattributed"])
    opening = "Nothing is wrong"
    if unknown and unknown.share >= policy.unknown_share:
        opening = "No cause stands out, but part of the time has no known cause"
    if not evidence.loop.found:
        opening = f"No training steps were found ({evidence.loop.rule.rstrip('.')})"
    time = f": the time of {whole} goes to {goes}." if goes else "."
    stage = parts[0][0] if parts else ""
    return Verdict(
        opening + time, _main_line(evidence, policy, stage), _advice(evidence, policy)
    )


def _largest_parts(evidence: Evidence) -> list[tuple[str, str]]:
    """Stage and sentence part of the trainer's largest (stage, cause) pairs."""
    table = evidence.causes[evidence.causes["role"] == TRAINER]
    rows = table.sort_values("share", ascending=False).head(PARTS)
    return [
        (
            row["stage"],
            f"{IN_TIME[row['cause']]}{inside(evidence, row['stage'])} "
            f"({percent(row['share'])})",
        )
        for row in records(rows)
        if row["share"] >= SMALLEST
    ]


def _main_line(evidence: Evidence, policy: Policy, stage: str) -> str:
    places = [spot(place) for place in lines_of(evidence, policy, stage)]
    if not places:
        return "No line stands out."
    return f"Most time is spent in {names(places)}."


def _advice(evidence: Evidence, policy: Policy) -> str:
    if not evidence.loop.found:
        return HOW_TO_MARK
    stages = evidence.stages
    if stages.empty:
        return "No change is advised."
    top = stages.sort_values("share").iloc[-1]
    gain = policy.ceiling(float(top["share"]))
    part = f"`{top['stage']}`" if top["stage"] != "other" else "time outside stages"
    return (
        f"No change is advised; the largest part, {part}, would give at most "
        f"{gain:.1f}x if it vanished."
    )
