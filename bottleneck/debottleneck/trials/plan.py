"""Which strategies are worth trying: those that the findings of one profile support."""

from __future__ import annotations

from collections.abc import Iterable

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.strategies.spec import (
    FORWARD,
    PREFETCH,
    STRATEGIES,
    UPDATE,
    Strategies,
    parse,
    written,
)

THREADS = (2, 4, 8)
"""Loads in flight that are tried: each twice the one before, as the gain levels off
where the source or the trainer becomes the limit."""

INPUT_STAGES = ("load", "augment", "transfer")
FORWARD_STAGES = ("forward", "loss", "backward")
HOLDS_GIL = ("python", "gil")

STEPS_FOR_S = 3.0
"""A trial trains for so long: start-up and 0.1 s of polling are little beside it."""

LEAST_STEPS = 30
"""Fewer steps in a trial leave too few when the first ones are dropped."""

FEWEST_STEPS = 8
"""With fewer in the whole script half of them are not enough to compare."""

BUSY_CORES = 0.5
"""Other work on half a core can delay each trial by half of its time."""


def candidates(analysis: Analysis, cores: int) -> tuple[Strategies, ...]:
    """What to try, by the rank of the finding that speaks for it.

    Without such a finding each strategy is tried as it comes, so that "nothing is
    faster" is measured and not assumed.

    Args:
        analysis: Of the plain script.
        cores: Cores that the script may use.
    """
    asked: list[str] = []
    for finding in analysis.findings:
        asked += _for_finding(finding, analysis, cores)
    return distinct(asked or STRATEGIES)


def distinct(texts: Iterable[str]) -> tuple[Strategies, ...]:
    """Each of them once, in order, as `spec.parse` reads them.

    Raises:
        UsageError: One is no strategy.
    """
    found = {written(each): each for each in map(parse, texts)}
    return tuple(found.values())


def _for_finding(finding: Finding, analysis: Analysis, cores: int) -> list[str]:
    if finding.kind in ("gil-contention", "starvation"):
        return _for_producers(finding)
    if finding.stage in INPUT_STAGES:
        return _for_input(finding, cores)
    if finding.stage in FORWARD_STAGES:
        return _for_forward(finding, analysis, cores)
    if finding.stage == "update":
        return _parallel(UPDATE, finding, cores)
    return []


def _for_producers(finding: Finding) -> list[str]:
    """Somebody's threads hold the GIL, or are too slow at filling a queue."""
    cause = finding.evidence.get("producer_cause", finding.cause)
    apart = f"{PREFETCH}:where=process"
    if cause in HOLDS_GIL:
        return [apart, f"{PREFETCH}:workers=2"]
    return [f"{PREFETCH}:workers=2", f"{PREFETCH}:workers=4", apart]


def _for_input(finding: Finding, cores: int) -> list[str]:
    if finding.kind == "input-bound-io":
        most = 2 * int(finding.evidence.get("fetches_in_flight", THREADS[-1]))
    else:
        most = cores
    counts = [count for count in THREADS if count <= max(most, THREADS[0])]
    threads = [f"{PREFETCH}:workers={count}" for count in counts]
    if finding.kind == "input-bound-io":
        return threads
    apart = f"{PREFETCH}:workers={max(cores, 2)},where=process"
    return [apart, threads[0]] if finding.cause in HOLDS_GIL else [*threads, apart]


def _for_forward(finding: Finding, analysis: Analysis, cores: int) -> list[str]:
    sites = analysis.recording.sites
    kinds = set(sites.loc[sites["stage"] == "forward", "kind"])
    chunks = [f"{FORWARD}:chunks={max(cores, 2)}"] if "torch" in kinds else []
    return [*_parallel(FORWARD, finding, cores), *chunks]


def _parallel(name: str, finding: Finding, cores: int) -> list[str]:
    """As it comes, and for work (not waits) with no more threads than cores."""
    waits = finding.kind == "waiting"
    return [name] if waits else [name, f"{name}:workers={max(cores, 2)}"]


def steps_of_trial(step_ms: float) -> int:
    """Steps after which a trial is stopped, unless the user said how many."""
    return max(LEAST_STEPS, round(STEPS_FOR_S * 1e3 / max(step_ms, 1e-3)))
