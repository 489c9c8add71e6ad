"""Which rows a recording has: stages, lines, and lines joined with their neighbours."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pandas as pd

from debottleneck.analysis.evaluation import evaluation
from debottleneck.analysis.frames import (
    bounds,
    holding,
    of_thread,
    quiet_steps,
    typed,
)
from debottleneck.analysis.rows import file_names
from debottleneck.analysis.stretches import spread
from debottleneck.analysis.timeline import PLACES
from debottleneck.recording.loop import ChosenLoop
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import OPENED
from debottleneck.words import LINE, OTHER

TINY = 0.01
"""Statements below this share of the step are joined with their neighbours."""

MOST_OTHER = 0.03
"""Of the step: what is tiny even when joined has a row of its own before `other` takes
more than this."""

IN_LOOP, AROUND = (0, ""), (2, "")
"""Scopes of the statements of the loop that trains, and of those around it. Those of
an opened function are (1, where it is)."""


@dataclass(frozen=True)
class _Line:
    """A statement of the user's code, or several that follow one another.

    Attributes:
        name: What the row is called.
        file: Where.
        line: The first one's line.
        end: The last one's last line.
        source: As written, of the one that takes most time.
        side: Of `words.SIDES`; "" where they differ.
        scope: What they are statements of.
        own: Share of the step in them, and in no stage and no opened function.
        whole: The same with those.
        labels: Of the statements, each `train.py:17`.
    """

    name: str
    file: str
    line: int
    end: int
    source: str
    side: str
    scope: tuple[int, str]
    own: float
    whole: float
    labels: tuple[str, ...]


@dataclass
class _Times:
    """Shares of the trainer's quiet time.

    Attributes:
        own: Label of a statement -> its time in no stage and no opened function.
        whole: Likewise with those.
        callers: Scope of an opened function -> labels of statements that call it.
        other: What is in no statement and no stage.
    """

    own: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    callers: dict[tuple[int, str], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    other: float = 0.0


def divide(
    recording: Recording,
    raw: pd.DataFrame,
    steps: pd.DataFrame,
    trainer: int,
    loop: ChosenLoop | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the rows of a recording, and the row of every segment.

    Consecutive statements that take next to nothing are one row; what is tiny even so
    is `other`. A statement that evaluates is `evaluate` as a whole.

    Args:
        recording: For its sites.
        raw: `timeline.raw_segments`.
        steps: Labelled steps.
        trainer: The tid that runs them.
        loop: The one that trains, None if it is not known.

    Returns:
        `frames.COLUMNS["rows"]` and `frames.COLUMNS["segments"]`.
    """
    pid, sites = recording.facts.pid, recording.sites
    raw = spread(raw, sites)
    if loop is not None:
        own = of_thread(raw, pid, trainer)
        found = evaluation(own, steps, sites[sites["pid"] == pid], loop)
        raw.loc[own.index[found], "stage"] = "evaluate"
    of_line = (raw["stage"] == LINE).to_numpy()
    if not of_line.any():
        return typed("rows", pd.DataFrame()), typed("segments", raw)
    statements = _statements(sites, loop)
    times = _times(of_thread(raw, pid, trainer), steps, statements, pid)
    lines = _joined(_lines(statements, times), times)
    names = _named(lines, statements, times)
    labels = statements.set_index(["pid", "site"])["label"].to_dict()
    keys = zip(raw["pid"], raw["site"], strict=True)
    raw["stage"] = [
        names.get(labels.get(key, ""), OTHER) if is_line else stage
        for stage, is_line, key in zip(raw["stage"], of_line, keys, strict=True)
    ]
    return _table(lines, names, times), typed("segments", raw)


def _named(
    lines: Sequence[_Line], statements: pd.DataFrame, times: _Times
) -> dict[str, str]:
    """Label of a statement -> its row; what is tiny in a function is its caller's."""
    names = {label: line.name for line in lines for label in line.labels}
    scopes = statements.set_index("label")["scope"].to_dict()
    for label in scopes:
        row, seen = label, {label}
        while row not in names and (callers := times.callers.get(scopes[row])):
            row = callers.most_common(1)[0][0]
            if row in seen:  # functions that call each other
                break
            seen.add(row)
        if row in names:
            names[label] = names[row]
    return names


def _statements(sites: pd.DataFrame, loop: ChosenLoop | None) -> pd.DataFrame:
    """The sites of lines, with their `label` and `scope`."""
    table = sites[sites["stage"] == LINE]
    names = file_names(table["file"].unique())
    opened = list(table[table["kind"] == OPENED].itertuples(index=False))
    functions = {
        (row.pid, row.site): (1, f"{names[row.file]}:{row.line}") for row in opened
    }
    last = 0
    if loop is not None:
        last = int(sites.loc[sites["site"] == loop.site, "end"].max())
    labels, scopes = [], []
    for row in table.itertuples(index=False):
        labels.append(_label(names[row.file], row.line, row.end))
        around = loop is not None and (
            row.file != loop.file or not loop.line <= row.line <= last
        )
        frame = row.site if row.kind == OPENED else row.within
        holds = [
            f for f in opened if f.file == row.file and f.line <= row.line <= f.end
        ]
        if around and holds and (row.pid, frame) not in functions:
            frame = max(holds, key=lambda function: function.line).site  # a loop in it
        scope = functions.get((row.pid, frame), AROUND if around else IN_LOOP)
        scopes.append(scope)
    return table.assign(label=labels, scope=scopes)


def _label(name: str, line: int, end: int) -> str:
    return f"{name}:{line}-{end}" if end > line else f"{name}:{line}"


def _times(
    own: pd.DataFrame, steps: pd.DataFrame, statements: pd.DataFrame, pid: int
) -> _Times:
    """Of the trainer's quiet steps, of all its time where there are none."""
    ours = statements[statements["pid"] == pid].set_index("site")
    label, scope = ours["label"].to_dict(), ours["scope"].to_dict()
    start, end = bounds(own)
    quiet = quiet_steps(steps)
    if len(quiet):
        own = own[holding(*bounds(quiet), start) >= 0]
        start, end = bounds(own)
    total = max(float((end - start).sum()), 1.0)
    sums = own.assign(share=(end - start) / total)
    sums = sums.groupby(["stage", *PLACES], as_index=False)["share"].sum()
    times = _Times()
    for stage, line, below, base, share in sums.itertuples(index=False, name=None):
        if stage == LINE and line in label:
            times.own[label[line]] += share
        elif stage == OTHER:
            times.other += share
        for place in {label[site] for site in (line, below, base) if site in label}:
            times.whole[place] += share
        if line in label and below in label:
            times.callers[scope[line]][label[below]] += share
    return times


def _lines(statements: pd.DataFrame, times: _Times) -> list[_Line]:
    """Every statement, those of one label as one, in the order of the code."""
    lines = []
    for label, rows in statements.groupby("label", sort=False):
        first, place = rows.iloc[0], str(label)
        lines.append(
            _Line(
                name=place,
                file=str(first["file"]),
                line=int(first["line"]),
                end=int(rows["end"].max()),
                source=str(first["name"]),
                side=_one(rows["side"]),
                scope=first["scope"],
                own=times.own[place],
                whole=times.whole[place],
                labels=(place,),
            )
        )
    return sorted(lines, key=lambda line: (*line.scope, line.file, line.line))


def _one(sides: Iterable[str]) -> str:
    """What all of them are, "" where they differ."""
    distinct = set(sides)
    return str(distinct.pop()) if len(distinct) == 1 else ""


def _joined(lines: Sequence[_Line], times: _Times) -> list[_Line]:
    """The rows: large statements, callers of opened functions, and tiny ones joined.

    Of the rows that are tiny the largest are kept until the rest is small enough to
    be `other`; those of opened functions are their callers'.
    """
    callers = {label for counts in times.callers.values() for label in counts}
    joined = list(_runs(lines, callers))
    small = [line for line in joined if line.own < TINY and line.name not in callers]
    dropped = {line.name for line in small}
    outer = [line for line in small if line.scope in (IN_LOOP, AROUND)]
    rest = times.other + sum(line.own for line in outer)
    for line in sorted(outer, key=lambda line: -line.own):
        if rest > MOST_OTHER and line.own > 0:
            dropped.discard(line.name)
            rest -= line.own
    return [line for line in joined if line.name not in dropped]


def _runs(lines: Sequence[_Line], callers: set[str]) -> Iterator[_Line]:
    """Statements, with those that are tiny and follow one another as one."""

    def alone(line: _Line) -> bool:
        return line.whole >= TINY or line.name in callers

    def kind(line: _Line) -> tuple[object, ...]:
        return line.scope, line.file, alone(line)

    for (*_, large), run in groupby(lines, key=kind):
        if large:
            yield from run
        else:
            yield _as_one(list(run))


def _as_one(run: Sequence[_Line]) -> _Line:
    """Consecutive statements as one row."""
    if len(run) == 1:
        return run[0]
    longest = max(run, key=lambda line: line.own)
    first, end = run[0], max(line.end for line in run)
    return _Line(
        name=_label(first.name.rpartition(":")[0], first.line, end),
        file=first.file,
        line=first.line,
        end=end,
        source=longest.source,
        side=_one(line.side for line in run),
        scope=first.scope,
        own=sum(line.own for line in run),
        whole=sum(line.whole for line in run),
        labels=tuple(label for line in run for label in line.labels),
    )


def _table(
    lines: Sequence[_Line], names: Mapping[str, str], times: _Times
) -> pd.DataFrame:
    """`frames.COLUMNS["rows"]`: those of an opened function follow what calls it."""
    parents = {
        scope: names.get(counts.most_common(1)[0][0], "")
        for scope, counts in times.callers.items()
    }
    by_parent: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        by_parent[parents.get(line.scope, "")].append(line)
    rows: list[dict[str, object]] = []
    listed = {""}
    while by_parent:  # once, unless functions call each other
        parent = "" if "" in by_parent else next(iter(by_parent))
        pending = [(parent, line) for line in reversed(by_parent.pop(parent))]
        while pending:
            parent, line = pending.pop()
            place = {"row": line.name, "file": line.file, "line": line.line}
            text = {"end": line.end, "source": line.source, "side": line.side}
            above = parent if parent in listed else ""  # of a circle, the first is top
            rows.append({**place, **text, "parent": above})
            listed.add(line.name)
            called = reversed(by_parent.pop(line.name, []))
            pending += [(line.name, each) for each in called]
    return typed("rows", pd.DataFrame(rows))
