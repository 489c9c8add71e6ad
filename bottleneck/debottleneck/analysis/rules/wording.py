"""How findings speak: one sentence, plain words, numbers with their interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from debottleneck.analysis.policy import Policy
from debottleneck.analysis.result import Finding, Where
from debottleneck.analysis.rules.evidence import TRAINER, Cost, Evidence
from debottleneck.words import OTHER

DOING = {
    "python": "running Python code",
    "native": "computing in native code",
    "gil": "waiting for the GIL",
    "lock": "waiting on a lock, queue or condition",
    "disk": "waiting for files",
    "network": "waiting for the network",
    "ipc": "waiting for another process",
    "sleep": "sleeping",
    "runqueue": "ready to run with no core free",
    "unattributed": "in time that has no known cause",
}
"""What a thread is doing, after "spends 40 % of each step"."""


def percent(share: float) -> str:
    """A share of 1 as whole per cent: "62 %"."""
    return f"{100 * share:.0f} %"


def spends(evidence: Evidence, amount: Cost, doing: str) -> str:
    """The opening: "The trainer spends 62 % of each step (59 to 65 %) `doing`"."""
    if not evidence.loop.found:
        return f"The main thread spends {percent(amount.share)} of the run {doing}"
    bounds = ""
    if math.isfinite(amount.low) and math.isfinite(amount.high):
        bounds = f" ({100 * amount.low:.0f} to {percent(amount.high)})"
    return f"The trainer spends {percent(amount.share)} of each step{bounds} {doing}"


def inside(evidence: Evidence, stage: str) -> str:
    """Where in the step: " in `load`", " outside every stage", or nothing."""
    if not stage or (stage == OTHER and not evidence.loop.found):
        return ""
    return " outside every stage" if stage == OTHER else f" in `{stage}`"


def on(what: str) -> str:
    """What a wait was on, in brackets; long paths keep their end."""
    if not what:
        return ""
    return f" ({what})" if len(what) <= 48 else f" (...{what[-45:]})"


def spot(place: Where) -> str:
    """A place as "`function` (file.py:12)"."""
    name = f"`{place.function}`" if place.function else "code"
    if not place.file:
        return name
    file = PurePosixPath(place.file).name
    return f"{name} ({file}:{place.line})" if place.line else f"{name} ({file})"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things: "1 thread", "2 threads"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def names(items: Sequence[str], most: int = 3) -> str:
    """A list in words: "a, b and 2 more"."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def finding(
    policy: Policy,
    kind: str,
    amount: Cost,
    *,
    summary: str,
    action: str,
    stage: str = "",
    cause: str = "",
    where: tuple[Where, ...] = (),
    evidence: dict[str, Any] | None = None,
    severity: str = "",
) -> Finding:
    """A Finding about the trainer, with its numbers filled in from `amount`."""
    numbers: dict[str, Any] = {"ms_per_step": amount.ms, "share": amount.share}
    if math.isfinite(amount.low) and math.isfinite(amount.high):
        numbers |= {"share_low": amount.low, "share_high": amount.high}
    return Finding(
        kind=kind,
        severity=severity or policy.severity(amount.share),
        stage=stage,
        cause=cause,
        role=TRAINER,
        summary=summary,
        action=action,
        ceiling=policy.ceiling(amount.share),
        share=amount.share,
        evidence=numbers | (evidence or {}),
        where=where,
    )
