"""What a plan does with each part of a loop's body, and what that takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from debottleneck.strategies.rewriting.divide import Division, Observation
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS, Piece


def pieces_of(
    flat: FlatLoop, division: Division, seen: Observation, *, by_workers: bool
) -> tuple[Piece, ...]:
    """The lines of a loop; those of one statement that are alike as one.

    Args:
        flat: The loop.
        division: Where its lines run.
        seen: What they take.
        by_workers: Whether the heavy ones have workers.
    """
    found: dict[Piece, tuple[float, float]] = {}
    cpu_ns = seen.cpu_ns or [0.0] * len(seen.ns)
    keys = _keys(flat, division, HEAVY if by_workers else ORDER)
    for key, ns, cpu, effects in zip(keys, seen.ns, cpu_ns, seen.effects, strict=True):
        alike = replace(key, stages=tuple(sorted(effects.stages)))
        before = found.get(alike, (0.0, 0.0))
        found[alike] = (before[0] + ns, before[1] + cpu)
    return tuple(
        replace(key, ns=ns, cpu_ns=min(cpu, ns)) for key, (ns, cpu) in found.items()
    )


def _keys(flat: FlatLoop, division: Division, heavy: str) -> Iterator[Piece]:
    """Each line, and the loop's own iterable, with no times yet."""
    sides = dict.fromkeys(division.order, ORDER) | dict.fromkeys(division.heavy, heavy)
    for line in flat.lines:
        call = getattr(line.node, "value", None)
        name = _last_word(call.func) if isinstance(call, ast.Call) else ""
        side = sides.get(line.number, STAYS)
        yield Piece(line.within or line.place, side, 0.0, 0.0, name)
    yield Piece(flat.place, ORDER if division.iterable else STAYS, 0.0, 0.0)


def _last_word(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def size_of(flat: FlatLoop, division: Division, seen: Observation) -> int:
    """Bytes that lines which stay take from lines ahead."""
    stays = [line for line in flat.lines if line.number in division.stays]
    used = {name for line in stays for name in line.uses}
    return sum(
        seen.sizes.get(line.number, 0)
        for line in flat.lines
        if line not in stays and used & {*line.binds, line.temporary}
    )
