"""Plans of strategies made by hand, of loops that never ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from debottleneck.prediction.demand import Demand, Part
from debottleneck.strategies.rewriting.plan import (
    HEAVY,
    STAYS,
    TURNS,
    Piece,
    Plan,
)
from debottleneck.strategies.spec import PREFETCH

FILE = "train.py"


def piece(part: Part, side: str) -> Piece:
    """All of a part on one side."""
    name = part.name.rpartition(".")[2]
    return Piece(part.line, side, part.length, part.work, name)


def numbered(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Each in a line of its own, from 1 on."""
    return tuple(replace(part, line=n) for n, part in enumerate(parts, start=1))


def fetched(loop: Demand, side: str = HEAVY, **more: Any) -> Demand:
    """The loop with a plan that has its loads run ahead."""
    pieces = [
        piece(part, side if part.stage == "load" else STAYS) for part in loop.steps[0]
    ]
    plan = Plan(PREFETCH, FILE, 1, pieces=tuple(pieces), **more)
    return replace(loop, plans=(*loop.plans, plan))


def shared(loop: Demand, strategy: str, line: int, turns: int, **more: Any) -> Demand:
    """The loop, one statement of which is a loop of so many turns."""
    of_line = [part for part in loop.steps[0] if part.line == line]
    ns, cpu_ns = sum(p.length for p in of_line), sum(p.work for p in of_line)
    pieces = (Piece(line, TURNS, ns, cpu_ns),)
    plan = Plan(strategy, FILE, line, pieces=pieces, turns=turns, entries=1.0, **more)
    return replace(loop, plans=(*loop.plans, plan))


def recorded(plan: Plan) -> Mapping[str, Any]:
    """As a recording's facts have it."""
    from debottleneck.recording.recording import Planned

    facts = asdict(plan)
    return {name: facts[name] for name in Planned.__annotations__}
