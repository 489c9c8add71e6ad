"""py-spy's stacks: lines of the user's code by stage, and flame graphs."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.frames import bounds, holding, of_thread, typed
from debottleneck.analysis.roles import Roles
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.timeline import stages_at
from debottleneck.recording.own import is_users_own
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import API, STATEMENT, STATES
from debottleneck.words import BETWEEN_STAGES, OTHER, STAGES, STEP

MARKER = "[stage "
"""Begins the name of a wrapper's frame, which names the stage."""

MOST_LINES = 500
"""Of one statement."""

TRAINER = "trainer"

_FRAMELESS = (API, "torch")
"""Kinds of sites whose marks may leave no frame: with stage(), PyTorch's hooks."""

_OURS = tuple(
    os.sep + os.path.join("debottleneck", room) + os.sep
    for room in ("agent", "strategies")
)

_LOCK, _PIPE = STATES.index("lock"), STATES.index("ipc")
_IDLE = {"": (_LOCK,), "worker": (_LOCK, _PIPE), TRAINER: ()}
"""What a thread of that role, else of any other, does while it waits for others."""

Frame = tuple[str, str, int]
_Place = tuple[str, str, int, Frame]
"""A node of a flame graph: stage, role, the parent's id (0: none), and its frame."""


@dataclass(frozen=True)
class StackCode:
    """The code of every different stack of a recording.

    Attributes:
        frames: Stack number -> its frames without ours, outermost first.
        stage: Stack number -> the stage its marker names, "" without one.
        line: Stack number -> innermost frame of the user's code, else innermost.
    """

    frames: dict[int, tuple[Frame, ...]]
    stage: dict[int, str]
    line: dict[int, Frame]


def code_of(recording: Recording) -> StackCode:
    """Read the table of frames."""
    frames: dict[int, tuple[Frame, ...]] = {}
    stage: dict[int, str] = {}
    line: dict[int, Frame] = {}
    for stack, all_frames in _stacks(recording.frames):
        kept = tuple(f for f in all_frames if not _is_ours(f))
        frames[stack] = kept
        stage[stack] = _marked_stage(all_frames)
        own = [f for f in kept if is_users_own(f[1])]
        line[stack] = (own or list(kept) or [("", "", 0)])[-1]
    return StackCode(frames, stage, line)


def _stacks(table: pd.DataFrame) -> Iterator[tuple[int, list[Frame]]]:
    """Every stack's number and frames, outermost first."""
    ordered = table.sort_values(["stack", "depth"], kind="stable")
    columns = (ordered[name].tolist() for name in ("stack", "function", "file", "line"))
    for stack, rows in groupby(zip(*columns, strict=True), key=itemgetter(0)):
        yield stack, [row[1:] for row in rows]


def _is_ours(frame: Frame) -> bool:
    function, file, _ = frame
    named = function.startswith(MARKER) or "<debottleneck" in file
    return named or any(room in file for room in _OURS)


def _marked_stage(frames: list[Frame]) -> str:
    """The stage of a stack: its outermost between-steps marker, else the innermost."""
    names = [f[0][len(MARKER) : -1] for f in frames if f[0].startswith(MARKER)]
    names = [name for name in names if name in STAGES and name != STEP]
    between = [n for n in names if n in BETWEEN_STAGES]
    return (between[:1] or names[-1:] or [""])[0]


def sampled(
    recording: Recording,
    code: StackCode,
    segments: pd.DataFrame,
    rows: RowNames,
    roles: Roles,
) -> pd.DataFrame:
    """One row a sample: block, pid, tid, thread, role, stage, stack, weight_ms, idle.

    The stage is the marker's in the stack; without one, that of the thread's marks
    at that time, or the row whose lines the trainer's stack has. A thread other than
    the trainer is `idle` while it waits for another.
    """
    table = recording.stacks.copy()
    if table.empty:
        return table.assign(thread="", role="", stage="", weight_ms=0.0, idle=False)
    names = recording.threads.set_index(["pid", "tid"])["name"].to_dict()
    keys = list(zip(table["pid"], table["tid"], strict=True))
    table["thread"] = [names.get(key, f"thread {key[1] or '?'}") for key in keys]
    table["role"] = [roles.get(key, "other") for key in keys]
    marked = table["stack"].map(code.stage).fillna("")
    timed = _stage_by_time(recording, table, segments, rows)
    rows_of = _rows_by_place(recording, code, segments)
    placed = np.array([rows_of.get(stack, "") for stack in table["stack"]], object)
    placed[(timed != OTHER) | (table["role"] != TRAINER)] = ""
    stage = np.where(placed != "", placed, timed)
    table["stage"] = np.where(marked != "", marked, stage)
    table["weight_ms"] = table["weight_ns"] / 1e6
    table["idle"] = _idle(recording, table)
    return table


def _idle(recording: Recording, table: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each sample's thread waits for others meanwhile, as far as is known."""
    idle = np.zeros(len(table), np.bool_)
    middle = ((table["start_ns"] + table["end_ns"]) // 2).to_numpy(np.int64)
    threads: dict[Any, Any] = table.groupby(["pid", "tid", "role"]).indices
    for (pid, tid, role), places in threads.items():
        waits = of_thread(recording.waits, pid, tid).sort_values("start_ns")
        waiting = waits[waits["state"].isin(_IDLE.get(role, _IDLE[""]))]
        idle[places] = holding(*bounds(waiting), middle[places]) >= 0
    return idle


def _rows_by_place(
    recording: Recording, code: StackCode, segments: pd.DataFrame
) -> dict[int, str]:
    """Stack -> the row of its innermost frame that is in a statement with one."""
    sites = recording.sites
    statements = sites[sites["kind"] == STATEMENT].drop(columns="stage")
    rows = segments[["pid", "site", "stage"]].drop_duplicates(["pid", "site"])
    home = recording.facts.directory
    row_at: dict[tuple[str, int], str] = {}
    for place in statements.merge(rows, on=["pid", "site"]).itertuples(index=False):
        file = os.path.normpath(os.path.join(home, place.file))
        last = min(place.end, place.line + MOST_LINES)
        for line in range(place.line, last + 1):
            row_at.setdefault((file, line), str(place.stage))
    if not row_at:
        return {}
    found = {}
    for stack, frames in code.frames.items():
        for _, file, line in reversed(frames):
            place = os.path.normpath(os.path.join(home, file)), line
            if place in row_at:
                found[stack] = row_at[place]
                break
    return found


def _stage_by_time(
    recording: Recording, table: pd.DataFrame, segments: pd.DataFrame, rows: RowNames
) -> np.ndarray:
    """For stacks without a marker: only marks that leave no frame can be open."""
    sites = recording.sites
    frameless = sites[sites["kind"].isin(_FRAMELESS)]
    marked = segments.merge(frameless[["pid", "site"]], on=["pid", "site"])
    middle = ((table["start_ns"] + table["end_ns"]) // 2).to_numpy(np.int64)
    stages = rows.names[stages_at(marked, rows, table, middle)]
    return np.where(table["block"] == "stacks", stages, OTHER)


def line_table(table: pd.DataFrame, code: StackCode) -> pd.DataFrame:
    """`frames.COLUMNS["lines"]`: share of each stage's samples by line of code.

    Of threads other than the trainer those in which they do not wait for another.
    """
    rows = table[(table["block"] == "stacks") & ~table["idle"]]
    if rows.empty:
        return typed("lines", pd.DataFrame())
    place = ["function", "file", "line"]
    places = [code.line[int(stack)] for stack in rows["stack"]]
    rows = rows.join(pd.DataFrame(places, rows.index, place))
    keys = ["stage", "role", "thread", *place]
    sums = rows.groupby(keys, sort=False, as_index=False)["weight_ms"].sum()
    total = sums.groupby(["stage", "role"])["weight_ms"].transform("sum")
    sums["share"] = sums["weight_ms"] / total.where(total > 0, 1.0)
    sums = sums.sort_values(["stage", "role", "share"], ascending=[True, True, False])
    return typed("lines", sums)


def holders(table: pd.DataFrame, code: StackCode) -> dict[int, Frame]:
    """Tid -> the line of code that thread runs most while it holds the GIL."""
    rows = table[table["block"] == "gil"]
    lines: dict[int, Counter[Frame]] = defaultdict(Counter)
    for tid, stack, weight in zip(
        rows["tid"], rows["stack"], rows["weight_ms"], strict=True
    ):
        lines[int(tid)][code.line[int(stack)]] += weight
    return {tid: _widest(weights) for tid, weights in lines.items()}


def _widest(lines: Counter[Frame]) -> Frame:
    """Of the function with most time, its heaviest line."""
    functions: Counter[tuple[str, str]] = Counter()
    for (function, file, _), weight in lines.items():
        functions[function, file] += weight
    widest = max(functions, key=functions.__getitem__)
    return max((f for f in lines if f[:2] == widest), key=lines.__getitem__)


@dataclass
class _Node:
    """A node while samples are added up, milliseconds."""

    id: int
    weight: float = 0.0
    held: float = 0.0


def flame_table(table: pd.DataFrame, code: StackCode) -> pd.DataFrame:
    """`frames.COLUMNS["flame"]`: one tree a stage and role; ids are unique overall.

    GIL time comes from its own window, scaled to the length of the stack windows.
    """
    lengths = _window_lengths(table)
    scale = lengths.get("stacks", 0.0) / lengths["gil"] if lengths.get("gil") else 0.0
    keys = ["block", "stage", "role", "stack"]
    sums = table.groupby(keys, sort=False, as_index=False)["weight_ms"].sum()
    nodes: dict[_Place, _Node] = {}
    for block, stage, role, stack, weight in sums.itertuples(index=False, name=None):
        held = 0.0 if block == "stacks" else weight * scale
        parent = 0
        for frame in code.frames[int(stack)]:
            node = nodes.setdefault((stage, role, parent, frame), _Node(len(nodes) + 1))
            node.weight += weight if block == "stacks" else 0.0
            node.held += held
            parent = node.id
    rows = [
        (*key, *frame, node.id, node.weight, min(node.held, node.weight))
        for (*key, frame), node in nodes.items()
        if node.weight > 0
    ]
    columns = ["stage", "role", "parent", "function", "file", "line", "id"]
    table = pd.DataFrame(rows, columns=[*columns, "weight_ms", "gil_ms"])
    return typed("flame", table)


def _window_lengths(table: pd.DataFrame) -> dict[str, float]:
    """Nanoseconds covered by each kind of window."""
    lengths = {}
    for kind, rows in table.groupby("block"):
        if kind == "gil":
            spans = rows[["start_ns", "end_ns"]].drop_duplicates()
            lengths[str(kind)] = float((spans["end_ns"] - spans["start_ns"]).sum())
        else:
            by_thread = rows.groupby(["pid", "tid"])["weight_ns"].sum()
            lengths[str(kind)] = float(by_thread.max())
    return lengths
