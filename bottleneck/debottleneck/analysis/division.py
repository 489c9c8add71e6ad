"""Which rows a recording has: stages, lines, and lines joined with their neighbours."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
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
from debottleneck.analysis.stretches import opened_late, spread
from debottleneck.analysis.timeline import PLACES, sites_of
from debottleneck.recording.loop import ChosenLoop
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import OPENED, WAITS_ASIDE
from debottleneck.words import LINE, OTHER, STEP_STAGES

TINY = 0.01
"""Statements below this share of the step are joined with their neighbours."""

MOST_OTHER = 0.03
"""Of the step: what is tiny even when joined has a row of its own before `other` takes
more than this."""

IN_LOOP, AROUND = (0, ""), (2, "")
"""Scopes of the statements of the loop that trains, and of those in no function that it
calls. Those of an opened function are (1, where it is), those of a loop in another that
it calls (2, where that is)."""

Place = tuple[str, ...]
"""Labels of the statements that call the functions a statement is in, and its own."""


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
        callers: Which statements call that, outermost first.
        own: Share of the step in them, and in no stage and no row below.
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
    callers: Place
    own: float
    whole: float
    labels: tuple[str, ...]

    @property
    def places(self) -> list[Place]:
        """Of the statements."""
        return [(*self.callers, label) for label in self.labels]


@dataclass
class _Times:
    """Shares of the trainer's quiet time.

    Attributes:
        own: Place of a statement -> its time in no stage and in no function below it.
        whole: Likewise with those.
        other: What is in no statement and no stage.
    """

    own: Counter[Place] = field(default_factory=Counter)
    whole: Counter[Place] = field(default_factory=Counter)
    other: float = 0.0


def divide(
    recording: Recording,
    raw: pd.DataFrame,
    steps: pd.DataFrame,
    trainer: int,
    loop: ChosenLoop | None,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Name the rows of a recording, and the row of every segment.

    Tiny neighbours are one row; what is tiny even so is `other`.

    Args:
        recording: For its sites.
        raw: `timeline.raw_segments`.
        steps: Labelled steps.
        trainer: The tid that runs them.
        loop: The one that trains, None if it is not known.

    Returns:
        `frames.COLUMNS["rows"]`, `frames.COLUMNS["segments"]`; stages that opened
        functions enter -> the row that calls these.
    """
    pid, sites = recording.facts.pid, recording.sites
    raw = opened_late(spread(raw, sites), pid, trainer, steps, recording.blocks)
    own = of_thread(raw, pid, trainer)
    found = evaluation(own, steps, sites[sites["pid"] == pid], loop)
    raw.loc[own.index[found], "stage"] = "evaluate"
    of_line = (raw["stage"] == LINE).to_numpy()
    if not of_line.any():
        return typed("rows", pd.DataFrame()), _segments(raw), {}
    statements = _statements(sites, loop)
    own = of_thread(raw, pid, trainer)
    lines = _named(_rows(statements, _times(own, steps, statements, pid)))
    names = _names(lines)
    labels = statements.set_index(["pid", "site"])["label"].to_dict()
    keys = zip(raw["pid"], raw["callers"], raw["site"], strict=True)

    @cache
    def row_of(pid: int, callers: str, site: int) -> str:
        return _row(_place(pid, callers, site, labels), names)

    raw["stage"] = [
        row_of(*key) if is_line else stage
        for stage, is_line, key in zip(raw["stage"], of_line, keys, strict=True)
    ]
    within = {
        stage: row_of(pid, callers.rpartition(" ")[0], sites_of(callers)[-1])
        for stage, callers in _callers_of_stages(own).items()
    }
    return _table(lines, names), _segments(raw), within


def _callers_of_stages(own: pd.DataFrame) -> dict[str, str]:
    """Of a stage the column `callers` where it spends most; none of the loop's own."""
    inside = own[own["stage"].isin(STEP_STAGES) & own["in_loop"]]
    start, end = bounds(inside)
    times = inside.assign(ns=end - start).groupby(["stage", "callers"])["ns"].sum()
    most = times.sort_values().groupby(level="stage").tail(1)
    return {stage: callers for stage, callers in most.index if callers}


def _names(lines: Sequence[_Line]) -> dict[Place, str]:
    """Place -> its row; for other threads the largest of each label."""
    names = {place: line.name for line in lines for place in line.places}
    for line in sorted(lines, key=lambda line: -line.own):
        for label in line.labels:
            names.setdefault((label,), line.name)
    return names


def _segments(raw: pd.DataFrame) -> pd.DataFrame:
    """A wait for an accelerator or for other ranks is of its own site in its row."""
    site = raw["device"].where(raw["device"] >= 0, raw["site"])
    return typed("segments", raw.assign(site=site))


def _place(
    pid: int, callers: str, site: int, labels: Mapping[tuple[int, int], str]
) -> Place:
    """Of a statement whose site is known, with those of its callers."""
    keys = [(pid, number) for number in (*sites_of(callers), site)]
    return tuple(labels[key] for key in keys if key in labels)


def _row(place: Place, names: Mapping[Place, str]) -> str:
    """The row of a place; what is tiny in a function is its caller's."""
    upwards = (place[:end] for end in range(len(place), 0, -1))
    alone = place[-1:]
    return next((names[p] for p in (*upwards, alone) if p in names), OTHER)


def _named(lines: Sequence[_Line]) -> list[_Line]:
    """Each with a name of its own: of those called from several rows, theirs."""
    counts = Counter(line.name for line in lines)
    rows: dict[Place, _Line] = {}
    named = []
    for line in sorted(lines, key=lambda line: len(line.callers)):
        if counts[line.name] > 1 and line.callers in rows:
            above = rows[line.callers]
            place = above.name
            if above.file == line.file:
                place = place.rpartition(":")[2]
            line = replace(line, name=f"{line.name} from {place}")
        rows |= dict.fromkeys(line.places, line)
        named.append(line)
    return named


def _statements(sites: pd.DataFrame, loop: ChosenLoop | None) -> pd.DataFrame:
    """The sites of lines, with their `label` and `scope`."""
    table = sites[(sites["stage"] == LINE) & ~sites["kind"].isin(WAITS_ASIDE)]
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
    label = {(pid, site): text for site, text in ours["label"].items()}
    start, end = bounds(own)
    quiet = quiet_steps(steps)
    if len(quiet):
        own = own[holding(*bounds(quiet), start) >= 0]
        start, end = bounds(own)
    total = max(float((end - start).sum()), 1.0)
    sums = own.assign(share=(end - start) / total)
    sums = sums.groupby(["stage", *PLACES[:2]], as_index=False)["share"].sum()
    times = _Times()
    for stage, line, callers, share in sums.itertuples(index=False, name=None):
        place = _place(pid, callers, line, label)
        if stage == LINE and (pid, line) in label:
            times.own[place] += share
        elif stage == OTHER:
            times.other += share
        for depth in range(1, len(place) + 1):
            times.whole[place[:depth]] += share
    return times


def _lines(statements: pd.DataFrame, callers: Place, times: _Times) -> list[_Line]:
    """Those that these call, those of one label as one, in the order of the code."""
    deep = len(callers)
    seen = {p[-1] for p in times.whole if len(p) == deep + 1 and p[:deep] == callers}
    scopes = set(statements.loc[statements["label"].isin(seen), "scope"])
    scopes = {scope for scope in scopes if scope[0] == 1} if callers else {IN_LOOP}
    lines = []
    for label, rows in statements.groupby("label", sort=False):
        first = rows.iloc[0]
        if label not in seen and first["scope"] not in scopes:
            continue
        place, scope = (*callers, str(label)), first["scope"]
        if callers and scope == AROUND:
            scope = (2, str(first["within"]))
        lines.append(
            _Line(
                name=place[-1],
                file=str(first["file"]),
                line=int(first["line"]),
                end=int(rows["end"].max()),
                source=str(first["name"]),
                side=_one(rows["side"]),
                scope=scope,
                callers=callers,
                own=times.own[place],
                whole=times.whole[place],
                labels=(str(label),),
            )
        )
    return sorted(lines, key=lambda line: (line.scope[0], line.file, line.line))


def _one(sides: Iterable[str]) -> str:
    """What all of them are, "" where they differ."""
    distinct = set(sides)
    return str(distinct.pop()) if len(distinct) == 1 else ""


def _rows(statements: pd.DataFrame, times: _Times) -> list[_Line]:
    """The rows: large statements, what calls some, and tiny ones joined.

    Of the rows that are tiny the largest are kept until the rest is small enough to
    be `other`; those of called functions are their callers'.
    """
    kept: list[_Line] = []
    calling: set[Place] = set()
    for callers in sorted({p[:-1] for p in times.whole}, key=len, reverse=True):
        joined = list(_runs(_lines(statements, callers, times), calling))
        small = [r for r in joined if r.own < TINY and calling.isdisjoint(r.places)]
        dropped = {line.labels for line in small}
        if callers:
            times.own[callers] += sum(r.own for r in small)  # type: ignore[assignment] # shares
        else:
            rest = times.other + sum(line.own for line in small)
            for line in sorted(small, key=lambda line: -line.own):
                if rest > MOST_OTHER and line.own > 0:
                    dropped.discard(line.labels)
                    rest -= line.own
        rows = [line for line in joined if line.labels not in dropped]
        if rows and callers:
            calling.add(callers)
        kept += rows
    return kept


def _runs(lines: Sequence[_Line], calling: set[Place]) -> Iterator[_Line]:
    """Statements, with those that are tiny and follow one another as one."""

    def alone(line: _Line) -> bool:
        return line.whole >= TINY or not calling.isdisjoint(line.places)

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
        callers=first.callers,
        own=sum(line.own for line in run),
        whole=sum(line.whole for line in run),
        labels=tuple(label for line in run for label in line.labels),
    )


def _table(lines: Sequence[_Line], names: Mapping[Place, str]) -> pd.DataFrame:
    """`frames.COLUMNS["rows"]`: those of a called function follow what calls it."""
    by_parent: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        by_parent[names[line.callers] if line.callers else ""].append(line)
    rows: list[dict[str, object]] = []
    pending = [("", line) for line in reversed(by_parent[""])]
    while pending:
        parent, line = pending.pop()
        place = {"row": line.name, "file": line.file, "line": line.line}
        text = {"end": line.end, "source": line.source, "side": line.side}
        rows.append({**place, **text, "parent": parent})
        pending += [(line.name, each) for each in reversed(by_parent[line.name])]
    return typed("rows", pd.DataFrame(rows))
