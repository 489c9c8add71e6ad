"""What the runs of a comparison do to the user's files, in sentences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from debottleneck.agent.guard import TRIAL, Changes
from debottleneck.trials.trial import STOP_GRACE_S

MOST_NAMED = 5


def warning(profiled: Changes) -> str:
    """What the trials will do, said before the first of them."""
    wrote = [*profiled.changed, *profiled.new]
    sentence = (
        f"the script now runs many times in this folder, with {TRIAL}=1 in its "
        f"environment, and each run has up to {STOP_GRACE_S:.0f} s to end in; files "
        "that were there are put back after each"
    )
    return f"{sentence}: it writes {_named(wrote)}" if wrote else sentence


def sentences(changes: Iterable[Changes]) -> list[str]:
    """Which files the runs changed, made, or could not put back."""
    parts = [(one.changed, one.new, one.lost) for one in changes]
    changed, new, lost = (
        list(dict.fromkeys(name for names in every for name in names))
        for every in zip(*parts, strict=True)
    )
    before = set(changed)
    fresh = [path for path in new if path not in before and os.path.lexists(path)]
    said = []
    if changed:
        said.append(f"put back after each run: {_named(changed)}")
    if fresh:
        said.append(f"the runs left new files: {_named(fresh)}")
    return [*said, *lost]


def _named(paths: Sequence[str]) -> str:
    """The first of them, as seen from here where that is shorter, and how many more."""
    names = [min(path, os.path.relpath(path), key=len) for path in paths[:MOST_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
