"""Plans of strategies made by hand, of loops that never ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import made_rows
from made_rows import Script

from debottleneck.prediction.demand import Demand, Part
from debottleneck.recording.recording import Planned, Recording
from debottleneck.strategies.rewriting.plan import (
    HEAVY,
    STAYS,
    TURNS,
    Piece,
    Plan,
)
from debottleneck.strategies.spec import PREFETCH

FILE = "train.py"
MS = 1e6
STEPS, LOAD_MS, FIT_MS = 40, 12, 6


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


def recorded(plan: Plan) -> Planned:
    """As a recording's facts have it."""
    facts = plan.as_json()
    return {name: facts[name] for name in Planned.__annotations__}  # type: ignore[return-value] # all of them


AHEAD = Plan(
    PREFETCH,
    made_rows.FILE,
    10,
    workers=2,
    pieces=(
        Piece(11, HEAVY, LOAD_MS * MS, 0.1 * MS, "load_fn"),
        Piece(12, STAYS, FIT_MS * MS, FIT_MS * MS, "forward_fn", ("forward",)),
    ),
)


def run(*plans: Plan) -> Recording:
    """A loop that waits for its loads, with what strategies said of it."""
    made = Script()
    for _ in range(STEPS):
        made.turn()
        made.line(11, "x = fetch(i)", 0)
        made.stage("load", 0, sleep=LOAD_MS)
        made.line(12, "y = net(x)", 0)
        made.stage("forward", FIT_MS)
    made.turn()
    made.left()
    whole = made.recording()
    facts = replace(whole.facts, plans=tuple(map(recorded, plans or (AHEAD,))))
    return replace(whole, facts=facts)
