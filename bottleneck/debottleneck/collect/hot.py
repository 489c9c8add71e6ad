"""The loop in which a process spends its time, and its rows, from stacks alone.

For a process that nobody prepared: of its main thread's stacks over time, the loops of
the user's code that they stand in. The innermost one that is seldom left is taken to
train: a loop within its iterations is left in each of them. Where a stack stands in
another of its statements than the one before, a mark is put, so that all that reads
marks reads these.
"""

from __future__ import annotations

import ast
import linecache
import os
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from debottleneck.recording import masks, reading, spool
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.own import is_users_own
from debottleneck.recording.recording import typed
from debottleneck.recording.spool import STATES
from debottleneck.words import LINE, STEP

COVERS, LEFT_PER_S = 0.5, 1.0
"""Part of a loop's time that one within it takes, if that is the loop to show; and how
often that is left at most: at the end of an epoch, not of a step."""

SEEN, REGULAR, FEWEST = 5, 0.5, 4
"""Stacks in an iteration from which on iterations are believed to be seen, if their
lengths vary by no more than that part: what chance made of shorter ones varies more."""

LONGEST_TEXT = 80

BEGUN = 3
"""Lines that are told of the time before the first step."""

FILLS = {"put", "put_nowait"}
"""Methods that fill a queue."""

RUNNING = STATES.index("running")

Place = tuple[str, int]
"""Of a loop: its file, and the line of its header."""

_Row = tuple[int, int, list[Place]]
"""Start, end, and file and line of frames."""

_Mark = tuple[int, int, int, int]
"""Time, site, edge and calls."""

Loop = ast.For | ast.While | ast.AsyncFor


@dataclass(frozen=True)
class _Look:
    """A stack of the main thread: from when to when, loops it is in, outermost first.

    `lines` are of the frames that those loops are in.
    """

    start: int
    end: int
    loops: tuple[Place, ...]
    lines: tuple[int, ...]


def marked(
    raw: Path, waits: pd.DataFrame, pid: int, home: str
) -> dict[str, pd.DataFrame]:
    """The tables `sites`, `loops` and `marks` of the loop; none where there is none.

    Args:
        raw: The spool folder.
        waits: That table.
        pid: The process.
        home: Its working directory, from which names of files are meant.
    """
    looks = [_look(*row, home=home) for row in _seen(raw)]
    place = _hottest(looks)
    if place is None:
        return {}
    file, line = place
    loop, text = _loops(file)[line], _lines(file)
    rows = [_row(loop, whole=False), *map(_row, _statements(loop.body))]
    at = [(look, _index(rows, look, place)) for look in looks]
    marks, why = list(_marks(at, 0)), spool.BY_STACKS
    if not _are_seen(marks, at):
        marks, why = list(_marks(at, spool.SLICE_NS)), spool.BY_SECONDS
    cpu = _cpu(waits, pid, np.array([t for t, *_ in marks], np.int64))
    sites = [(STEP, spool.LOOP, line, loop.end_lineno or line, -1)]
    sites += [(LINE, spool.STATEMENT, *row, 0) for row in rows]
    tables: dict[str, list[tuple[object, ...]]] = {
        "loops": [(pid, 0, pid, 0, why)],
        "marks": [
            (pid, pid, t, c, *rest) for (t, *rest), c in zip(marks, cpu, strict=True)
        ],
        "sites": [
            (pid, n, stage, _said(text, first), file, first, kind, end, within, "")
            for n, (stage, kind, first, end, within) in enumerate(sites)
        ],
    }
    return {
        name: typed(name, pd.DataFrame(rows, columns=list(COLUMNS[name])))
        for name, rows in tables.items()
    }


def beginning(
    raw: Path, until: int, home: str
) -> tuple[tuple[str, int, str, int], ...]:
    """The user's lines that took most of the main thread's time, until then."""
    spent: Counter[Place] = Counter()
    for start, end, frames in _seen(raw):
        own = [place for place in frames if is_users_own(place[0])]
        if own and end <= until:
            spent[own[-1]] += end - start
    return tuple(
        (
            f,
            n,
            masks.text(linecache.getline(_path(home, f), n).strip()),
            round(ns / 1e6),
        )
        for (f, n), ns in spent.most_common(BEGUN)
    )


def feeders(tables: Mapping[str, pd.DataFrame], pid: int, home: str) -> set[int]:
    """Threads whose stacks stand in a loop that puts something into a queue."""
    table = tables["stacks"].merge(tables["frames"], on="stack")
    places = table.loc[table["pid"] == pid, ["tid", "file", "line"]].drop_duplicates()
    return {
        int(tid)
        for tid, name, line in places.itertuples(index=False)
        if is_users_own(name)
        and any(_puts(_path(home, name), at) for at in _around(_path(home, name), line))
    }


@cache
def _puts(file: str, line: int) -> bool:
    """Whether the loop there calls what fills a queue."""
    calls = (
        node for node in ast.walk(_loops(file)[line]) if isinstance(node, ast.Call)
    )
    names = {c.func.attr for c in calls if isinstance(c.func, ast.Attribute)}
    return not names.isdisjoint(FILLS)


def _path(home: str, name: str) -> str:
    return os.path.normpath(os.path.join(home, name))


def _are_seen(marks: Sequence[_Mark], at: Sequence[tuple[_Look, int]]) -> bool:
    """Whether steps are the loop's iterations: long ones, much the same."""
    lengths = np.diff([t for t, _, edge, _ in marks if edge == spool.STEP_START])
    inside = [look.end - look.start for look, row in at if row >= 0]
    return len(lengths) >= FEWEST and bool(
        lengths.mean() >= SEEN * np.mean(inside)
        and lengths.std() <= REGULAR * lengths.mean()
    )


def _seen(raw: Path) -> list[_Row]:
    """What the wait sampler saw of the main thread with each tick."""
    listed = tuple[int, list[tuple[str, str, int]]]
    stacks = dict(reading.read_lines(raw / spool.LOOKED_FILE, listed))
    frames = {n: [(f, line) for _, f, line in stack] for n, stack in stacks.items()}
    data = (raw / spool.LOOKS_FILE).read_bytes() if stacks else b""
    size = len(data) // spool.LOOK.size * spool.LOOK.size
    rows = spool.LOOK.iter_unpack(data[:size])
    return [(start, end, frames.get(stack, [])) for start, end, stack in rows]


def _look(start: int, end: int, frames: list[Place], *, home: str) -> _Look:
    found: list[tuple[Place, int]] = []
    for name, line in frames:
        file = _path(home, name)
        if is_users_own(name):
            found += [((file, header), line) for header in _around(file, line)]
    loops, lines = tuple(p for p, _ in found), tuple(n for _, n in found)
    return _Look(start, end, loops, lines)


def _hottest(looks: Iterable[_Look]) -> Place | None:
    """From the outermost loop inwards, as long as one takes its time and is kept to."""
    chain: tuple[Place, ...] = ()
    within = [(look.loops, look.end - look.start) for look in looks]
    while within:
        weights: Counter[Place] = Counter()
        for loops, length in within:
            for place in loops[len(chain) : len(chain) + 1]:
                weights[place] += length
        total = sum(length for _, length in within)
        if not weights or max(weights.values()) < COVERS * total:
            break
        deeper = (*chain, max(weights, key=weights.__getitem__))
        inside = [loops[: len(deeper)] == deeper for loops, _ in within]
        left = sum(a and not b for a, b in pairwise(inside))
        if chain and left > LEFT_PER_S * total / 1e9:
            break
        chain = deeper
        within = [pair for pair, kept in zip(within, inside, strict=True) if kept]
    return chain[-1] if chain else None


def _index(rows: Sequence[tuple[int, int]], look: _Look, place: Place) -> int:
    """The statement in which it stands, counted from the header; -1 for outside."""
    if place not in look.loops:
        return -1
    line = look.lines[look.loops.index(place)]
    inside = [n for n, (first, end) in enumerate(rows) if first <= line <= end]
    return inside[-1] if inside else 0


def _marks(at: Sequence[tuple[_Look, int]], slice_ns: int) -> Iterator[_Mark]:
    """Steps are iterations, or of so many nanoseconds."""
    last, begun = -1, 0
    for look, row in at:
        if row < 0:
            if last >= 0:
                yield look.start, 0, spool.STEP_END, 1
        elif last < 0 or (look.start - begun > slice_ns if slice_ns else row < last):
            begun = look.start
            yield begun, 0, spool.STEP_START, int(last >= 0)
            yield begun, row + 1, spool.ENTER, 0
        elif row != last:
            yield look.start, row + 1, spool.ENTER, 0
        last = row
    if last >= 0:
        yield at[-1][0].end, 0, spool.STEP_END, 1


def _cpu(waits: pd.DataFrame, pid: int, times: np.ndarray) -> np.ndarray:
    """The main thread's CPU time at each time: of its ticks that found it running.

    The kernel books it late, so only the sum is as it counted.
    """
    own = waits[(waits["pid"] == pid) & (waits["tid"] == pid)].sort_values("end_ns")
    if own.empty:
        return times
    length = own["end_ns"] - own["start_ns"] - own["delay_ns"]
    ran = np.where(own["state"] == RUNNING, length.clip(lower=0), 0)
    ran = ran * min(own["oncpu_ns"].sum() / max(ran.sum(), 1), 1.0)
    total: np.ndarray = np.interp(times, own["end_ns"], ran.cumsum())
    return total.astype(np.int64)


@cache
def _lines(file: str) -> list[str]:
    try:
        with tokenize.open(file) as source:
            return source.read().splitlines()
    except (OSError, SyntaxError, ValueError, LookupError):
        return []


@cache
def _loops(file: str) -> dict[int, Loop]:
    """Line of its header -> each loop of a file."""
    try:
        tree = ast.parse("\n".join(_lines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {node.lineno: node for node in ast.walk(tree) if isinstance(node, Loop)}


@cache
def _around(file: str, line: int) -> tuple[int, ...]:
    """Headers of the loops that the line is in, outermost first."""
    loops = _loops(file).items()
    return tuple(sorted(n for n, node in loops if n <= line <= (node.end_lineno or n)))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a loop, blocks in it opened; a loop within is one statement."""
    for node in body:
        yield node
        if not isinstance(node, Loop | ast.FunctionDef | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, name, ()))
            for handler in getattr(node, "handlers", ()):
                yield from _statements(handler.body)


def _row(node: ast.stmt, *, whole: bool = True) -> tuple[int, int]:
    """First and last line; of a block, and of the loop itself, those of its header."""
    body = getattr(node, "body", None)
    if body and not (whole and isinstance(node, Loop)):
        return node.lineno, max(node.lineno, body[0].lineno - 1)
    return node.lineno, node.end_lineno or node.lineno


def _said(text: Sequence[str], line: int) -> str:
    """A statement's first line, as it is written."""
    said = text[line - 1].strip().removesuffix(":") if line <= len(text) else ""
    return said if len(said) <= LONGEST_TEXT else f"{said[: LONGEST_TEXT - 1]}…"
