"""Diagnosis: all rules asked, their findings ranked, and the verdict in three lines."""

from __future__ import annotations

from debottleneck.analysis.result import Analysis, Finding, Verdict
from debottleneck.analysis.rules import RUN_RULES, STEP_RULES
from debottleneck.analysis.rules.guards import too_short
from debottleneck.analysis.rules.measures import (
    cost,
    of_trainer,
    records,
    trainer_stages,
    where,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    called,
    how_to_step,
    inside,
    names,
    percent,
    spot,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.words import CAUSES, OTHER

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


def diagnose(analysis: Analysis) -> tuple[Finding, ...]:
    """What holds the loop up: the headline first, the rest by time to gain.

    Returns:
        Findings, none for a healthy loop or where nothing was measured. A loop of
        too few steps gets that one finding and no diagnosis.
    """
    short = tuple(too_short(analysis))
    if short:
        return short
    rules = STEP_RULES if analysis.loop.found else RUN_RULES
    findings = [finding for rule in rules for finding in rule(analysis)]
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
    return RANK.get(finding.kind, 1), -finding.share


def verdict(analysis: Analysis, findings: tuple[Finding, ...]) -> Verdict:
    """The three lines: what the loop waits for, on which line, what to do.

    Args:
        analysis: What `findings` were diagnosed from.
        findings: What `diagnose` returned; the first is the headline.
    """
    if findings:
        return _of_headline(findings[0])
    if not _causes_known(analysis):
        return _of_no_causes(analysis)
    return _of_no_finding(analysis)


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
    all_of_it = headline.kind == "between-steps" or headline.cause not in WAITS
    thing = "that time" if all_of_it else "that wait"
    return f" Gain to expect: up to {headline.ceiling:.1f}x if {thing} vanished."


def _causes_known(analysis: Analysis) -> bool:
    """False when the trainer's time has no cause at all: nothing sampled it."""
    total = cost(analysis, trainer_stages(analysis), CAUSES)
    unknown = cost(analysis, trainer_stages(analysis), ["unattributed"])
    if total is None:
        return False
    return unknown is None or total.ms == 0 or unknown.ms < NEARLY_ALL * total.ms


def _of_no_causes(analysis: Analysis) -> Verdict:
    largest = analysis.stages.sort_values("share", ascending=False).head(PARTS)
    parts = [
        f"{percent(row['share'])}{inside(analysis, row['stage'])}"
        for row in records(largest)
    ]
    time = f"; the step's time: {names(parts)}" if parts else ""
    return Verdict(
        f"What the stages wait for was not measured{time}.",
        "No line can be blamed without causes.",
        "See below what was not measured and how to enable it, and profile again.",
    )


def _of_no_finding(analysis: Analysis) -> Verdict:
    table = of_trainer(analysis.causes).sort_values("share", ascending=False)
    parts = [row for row in records(table.head(PARTS)) if row["share"] >= SMALLEST]
    texts = [
        f"{IN_TIME[row['cause']]}{inside(analysis, row['stage'])} "
        f"({percent(row['share'])})"
        for row in parts
    ]
    stages = trainer_stages(analysis)
    opening = "Nothing is wrong"
    if cost(analysis, stages, ["unattributed"], THRESHOLDS.unknown_share):
        opening = "No cause stands out, but part of the time has no known cause"
    if not analysis.loop.found:
        opening = f"No training steps were found ({analysis.loop.rule.rstrip('.')})"
    period = "each step" if analysis.loop.found else "the run"
    time = f": the time of {period} goes to {names(texts)}." if texts else "."
    places = where(analysis, parts[0]["stage"] if parts else "")
    line = "No line stands out."
    if places:
        line = f"Most time is spent in {names([spot(place) for place in places])}."
    return Verdict(opening + time, line, _advice(analysis))


def _advice(analysis: Analysis) -> str:
    if not analysis.loop.found:
        return how_to_step(analysis)
    if analysis.stages.empty:
        return "No change is advised."
    top = analysis.stages.sort_values("share").iloc[-1]
    gain = THRESHOLDS.ceiling(float(top["share"]))
    stage = str(top["stage"])
    part = called(analysis, stage) if stage != OTHER else "time outside stages"
    return (
        f"No change is advised; the largest part, {part}, would give at most "
        f"{gain:.1f}x if it vanished."
    )
