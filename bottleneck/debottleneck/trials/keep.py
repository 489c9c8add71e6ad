"""How to keep the winner: a patch of the user's files, or a command without one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from debottleneck.collect.options import Options
from debottleneck.recording import masks
from debottleneck.strategies.rewriting.notes import ENGAGED, FAILED
from debottleneck.strategies.rewriting.patch import lines_to_keep
from debottleneck.strategies.spec import Strategies, written

Plans = tuple[Mapping[str, Any], ...]


def command(target: Options, strategies: Strategies) -> str:
    """The `bottleneck run` command that applies them to the script as it is."""
    words = ["bottleneck", "run", "--strategy", written(strategies)]
    for stage in target.stages:
        words += ["--stage", f"{stage.stage}={stage.module}:{stage.qualified}"]
    for pattern in target.include:
        words += ["--include", pattern]
    return shlex.join([*words, *masks.words(target.command)])


def plans_in(notes: Iterable[Mapping[str, Any]]) -> Plans:
    """The plans by which loops were rewritten to the end of a run."""
    found: dict[tuple[Any, Any], Mapping[str, Any]] = {}
    for note in notes:
        plan = note.get("plan")
        if plan is None:
            continue
        place = plan["file"], plan["line"]
        if note["state"] == ENGAGED:
            found[place] = plan
        elif note["state"] == FAILED:
            found.pop(place, None)
    return tuple(found.values())


def patch(plans: Plans, file: Path) -> tuple[tuple[str, ...], list[str]]:
    """Write what makes plans permanent, if anything can; its lines, and sentences."""
    data, said = lines_to_keep(plans, Path.cwd())
    if data:
        file.write_bytes(data)
    return tuple(data.decode(errors="replace").split("\n")[:-1]), said
