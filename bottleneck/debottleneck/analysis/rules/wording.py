"""How findings speak: one sentence, plain words, numbers with their interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.measures import TRAINER, Cost, source, where
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.words import LIBRARY, LOCKS, OTHER

DOING = {
    "python": "running Python code",
    "native": "computing in native code",
    "gil": "waiting for the GIL",
    "lock": "waiting on a lock, queue or condition",
    "disk": "waiting for files",
    "network": "waiting for the network",
    "ipc": "waiting for another process",
    "sleep": "sleeping",
    "device": "waiting for the accelerator",
    "collective": "waiting for other ranks",
    "runqueue": "ready to run with no core free",
    "throttle": "stopped by the container's CPU quota",
    "gc": "in garbage collections",
    "memory": "in page faults",
    "unattributed": "in time that has no known cause",
}
"""What a thread is doing, after "spends 40 % of each step"."""

IN_TIME = {
    **DOING,
    "python": "Python code",
    "native": "native code",
    "gc": "garbage collections",
    "memory": "page faults",
    "unattributed": "unknown causes",
}
"""What time is spent on, in a list."""


def percent(share: float) -> str:
    """A share of 1 as whole per cent: "62 %"."""
    return f"{100 * share:.0f} %"


def spends(analysis: Analysis, amount: Cost, doing: str) -> str:
    """The opening: "The trainer spends 62 % of each step (59 to 65 %) `doing`"."""
    if not analysis.loop.found:
        return f"The main thread spends {percent(amount.share)} of the run {doing}"
    low, high = 100 * amount.low, 100 * amount.high
    digits = int(f"{low:.0f}" == f"{high:.0f}")
    bounds = f" ({low:.{digits}f} to {high:.{digits}f} %)" if high >= low else ""
    return f"The trainer spends {percent(amount.share)} of each step{bounds} {doing}"


def inside(analysis: Analysis, stage: str) -> str:
    """Where in the step: " in `load`", " in train.py:17 (`x = f(y)`)", or nothing."""
    if not stage or (stage == OTHER and not analysis.loop.found):
        return ""
    if stage == OTHER:
        return " outside every stage"
    return f" in {called(analysis, stage)}"


def called(analysis: Analysis, stage: str) -> str:
    """A row as sentences call it: "`load`", or a line with its source."""
    text = source(analysis, stage)
    return f"{stage} (`{text}`)" if text else f"`{stage}`"


def how_to_step(analysis: Analysis) -> str:
    """What to do where no steps were found, in the user's own lines."""
    if analysis.loop.count:
        return "Profile for longer, until more steps are seen."
    for loop in analysis.loop.others:
        return f'To take "{loop.header}" as the training loop: `{loop.option}`.'
    for place in where(analysis, OTHER):
        if place.file and place.line:
            file = PurePosixPath(place.file).name
            return (
                f"If the loop around {file}:{place.line} trains, name the line of its "
                f"`for` or `while`: `--step {file}:LINE`."
            )
    return "Profile for longer, until a loop of the script repeats."


def on(what: str) -> str:
    """What a wait was on, in brackets; long paths keep their end."""
    if not what:
        return ""
    return f" ({what})" if len(what) <= 48 else f" (...{what[-45:]})"


def waiting_for(cause: str, what: str) -> str:
    """What a thread does for that cause, with what its wait is on."""
    if cause != "lock" or not what:
        return DOING[cause] + on(what)
    if what.endswith(LIBRARY):
        return f"waiting in {what} for the threads of that library"
    if what in LOCKS:
        return (
            "waiting for a lock" if what == "lock" else f"waiting for a lock ({what})"
        )
    return f"waiting for {'an' if what[0] in 'AEIO' else 'a'} `{what}`"


WITHIN = {
    "<listcomp>": "the list comprehension",
    "<dictcomp>": "the dict comprehension",
    "<setcomp>": "the set comprehension",
    "<genexpr>": "the generator expression",
    "<lambda>": "the lambda",
    "<module>": "the module's own code",
}
"""What has no name of its own, as people call it."""


def spoken(function: str) -> str:
    """A qualified name in a sentence: "the lambda in `f`", "`step` in `main`"."""
    *outer, last = function.split(".<locals>.")
    owner, _, name = last.rpartition(".")
    known = WITHIN.get(name)
    if known and owner:
        outer.append(owner)
    own = known or f"`{last}`"
    return f"{own} in `{'.'.join(outer)}`" if outer else own


def spot(place: Where) -> str:
    """A place as "`function` (file.py:12)"."""
    name = spoken(place.function) if place.function else "code"
    return f"{name} ({line_of(place)})" if place.file else name


def line_of(place: Where) -> str:
    """A place as "file.py:12"; "" for no file."""
    file = PurePosixPath(place.file).name
    return f"{file}:{place.line}" if place.line else file


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things: "1 thread", "2 threads"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def names(items: Sequence[str], most: int = 3) -> str:
    """A list in words: "a, b and 2 more"."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def finding(
    analysis: Analysis,
    kind: str,
    amount: Cost,
    *,
    summary: str,
    action: str,
    stage: str = "",
    cause: str = "",
    places: tuple[Where, ...] | None = None,
    evidence: dict[str, Any] | None = None,
    severity: str = "",
) -> Finding:
    """A Finding about the trainer, its numbers from `amount`.

    Without `places` it is about the lines that carry the stage.
    """
    numbers: dict[str, Any] = {"ms_per_step": amount.ms, "share": amount.share}
    if math.isfinite(amount.low) and math.isfinite(amount.high):
        numbers |= {"share_low": amount.low, "share_high": amount.high}
    return Finding(
        kind=kind,
        severity=severity or THRESHOLDS.severity(amount.share),
        stage=stage,
        cause=cause,
        role=TRAINER,
        summary=summary,
        action=action,
        ceiling=THRESHOLDS.ceiling(amount.share),
        share=amount.share,
        evidence=numbers | (evidence or {}),
        where=where(analysis, stage) if places is None else places,
    )
