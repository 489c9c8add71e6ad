"""What one run left behind -> the recording's folder, with its facts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.collect import hot, prices, sources, stacks
from debottleneck.collect.conduct import Outcome
from debottleneck.collect.options import Options
from debottleneck.recording import (
    assemble,
    environment,
    masks,
    reading,
    spool,
    told,
)
from debottleneck.recording.pyspy import PySpyWindow
from debottleneck.recording.recording import Facts, NotMeasured, Recording

FEWEST_LINES = 6
"""Of the sampler's half-seconds, below which nothing is told of what grew."""

SETTINGS = ("warmup", "rate", "strategies", "causal")
"""Options that a recording keeps."""


def save(
    options: Options, raw: Path, outcome: Outcome, began: datetime, home: str = ""
) -> None:
    """Put the recording together in the folder above the spool.

    Args:
        options: What was asked for.
        raw: The spool folder; every instrument has ended.
        outcome: What happened.
        began: When the script was launched.
        home: The directory it runs in, by default ours.
    """
    agent = reading.read_json(spool.agent_file(raw, outcome.pid))
    windows = [attachment.window() for attachment in outcome.attached]
    tables, home = assemble.tables_of(raw, windows), home or os.getcwd()
    if options.attached:
        tables |= hot.marked(raw, tables["waits"], outcome.pid, home)
    script = sources.MeasuredScript(home, options.target, began.timestamp())
    unread = _add_sources(raw, tables, script)
    missing = [*assemble.failures(raw, windows)]
    missing += _lacking(options, raw, windows, agent)
    missing += _broken_off(options, outcome)
    missing += _from_outside(options, tables["loops"])
    code = outcome.exit_code
    number = -code if code is not None and code < 0 else None
    machine = options.calibrate and prices.kept(options.python)
    facts = Facts(
        command=masks.words(options.command),
        script=script.script,
        directory=script.directory,
        created=began.isoformat(timespec="seconds"),
        start_ns=outcome.start_ns,
        end_ns=outcome.end_ns,
        pid=outcome.pid,
        main_tid=outcome.pid,
        options={name: getattr(options, name) for name in SETTINGS},
        environment=_environment(options, raw, outcome, agent, tables["blocks"]),
        exit_code=None if number else code,
        exit_signal=number,
        ended_by=outcome.ended_by if number is None else "signal",
        partial=number is not None,
        partial_why=f"the script was ended by signal {number}" if number else "",
        machine=machine.as_dict() if machine else {},
        rates=_rates(raw, agent),
        not_measured=(*missing, *unread),
        **_told(raw, outcome.pid),
        feeders=tuple(sorted(hot.feeders(tables, outcome.pid, home))),
        **_seen(raw, tables, outcome, home),
    )
    Recording.of(facts, tables).save(options.output)


def _add_sources(
    raw: Path, tables: dict[str, pd.DataFrame], script: sources.MeasuredScript
) -> list[NotMeasured]:
    """The table of lines; code that is in no file gets the name that people use."""
    cells = reading.read_json(raw / spool.CELLS_FILE, dict[str, tuple[str, str]])
    names = {file: name for file, (name, _) in cells.items()}
    for table in ("sites", "frames", "functions", "holders"):
        tables[table]["file"] = tables[table]["file"].replace(names)
    tables["sources"], unread = sources.gather(tables, script, dict(cells.values()))
    tables["sources"]["text"] = tables["sources"]["text"].map(masks.text)
    tables["sites"]["name"] = tables["sites"]["name"].map(masks.text)
    return unread


def _from_outside(options: Options, loops: pd.DataFrame) -> Iterator[NotMeasured]:
    """What a process that was attached to cannot show."""
    remedy = "profile the script from its start: bottleneck profile"
    if options.attached and loops.empty:
        reason = "no loop of the main thread was seen (lines need CPython 3.11 to 3.13)"
        yield NotMeasured("lines", reason, remedy)
    elif options.attached and (loops["why"] == spool.BY_SECONDS).any():
        reason = "attached from outside: shares are right, lengths of steps unknown"
        yield NotMeasured("iterations", reason, remedy)


def _told(raw: Path, pid: int) -> dict[str, Any]:
    """Facts that the process's agent told, and its workers'."""
    kinds = {"plans": "plan", "delays": spool.DELAYED, "optimizers": spool.OPTIMIZER}
    kinds |= {"device": spool.DEVICE, "ranks": spool.RANK, "meetings": spool.MET}
    return {
        **{name: assemble.told(raw, pid, kind) for name, kind in kinds.items()},
        "loaders": told.loaders(raw, pid),
        "slow_items": told.slow_items(raw),
    }


def _environment(
    options: Options,
    raw: Path,
    outcome: Outcome,
    agent: dict[str, Any],
    blocks: pd.DataFrame,
) -> dict[str, Any]:
    """Without the secrets in it."""
    facts = environment.describe(options.python, agent)
    facts["packages"] = environment.package_versions(options.python)
    facts["thread_pools"] = outcome.pools
    foreign = foreign_load(raw, blocks)
    known = facts if foreign is None else facts | {"foreign_load": foreign}
    return masks.value(known)  # type: ignore[no-any-return] # of the same kind


def _seen(
    raw: Path, tables: dict[str, pd.DataFrame], outcome: Outcome, home: str
) -> dict[str, Any]:
    """Facts of the process over time."""
    since = _first_step(tables, outcome)
    return {
        "wakers": _wakers(raw, tables, outcome.pid),
        "beginning": hot.beginning(raw, since, home),
        "sizes": _sizes(raw, since),
    }


def _wakers(raw: Path, tables: dict[str, pd.DataFrame], pid: int) -> tuple[int, ...]:
    """Threads that woke the one that trains, and those that woke them."""
    loops = tables["loops"]
    chosen = loops.loc[(loops["pid"] == pid) & (loops["rank"] == 0), "tid"]
    trainer = int(chosen.iloc[0]) if len(chosen) else pid
    edges = [(e["tid"], e["waiter"]) for e in assemble.told(raw, pid, spool.WAKES)]
    found = {trainer}
    while more := {tid for tid, waiter in edges if waiter in found} - found:
        found |= more
    return tuple(sorted(found - {trainer}))


def _first_step(tables: dict[str, pd.DataFrame], outcome: Outcome) -> int:
    """When the loop that trains was entered, or anything marked; else the end."""
    loops, marks = tables["loops"], tables["marks"]
    own = marks["pid"] == outcome.pid
    chosen = loops.loc[(loops["pid"] == outcome.pid) & (loops["rank"] == 0), "site"]
    of_loop = own & marks["site"].isin(chosen)
    times = marks.loc[of_loop if of_loop.any() else own, "t_ns"]
    return int(times.min()) if len(times) else outcome.end_ns


def _sizes(raw: Path, since: int) -> tuple[tuple[int, int], ...]:
    """Memory and open files since then: medians of the first and of the last third."""
    lines = [line for line in reading.read_lines(raw / spool.LOAD_FILE) if line[3:]]
    kept = np.array([line[3:5] for line in lines if line[0] >= since])
    if len(kept) < FEWEST_LINES:
        return ()
    first, *_, last = (np.median(part, axis=0) for part in np.array_split(kept, 3))
    return tuple((int(a), int(b)) for a, b in zip(first, last, strict=True))


def _rates(raw: Path, agent: dict[str, Any]) -> dict[str, Any]:
    """Rates and costs that the instruments state of themselves."""
    sampler = reading.read_json(raw / spool.SAMPLER_FILE)
    rates: dict[str, Any] = {"sampler": sampler} if sampler else {}
    return rates | {k: v for k, v in agent.items() if k == "mark_pair_us"}


def _lacking(
    options: Options, raw: Path, windows: list[PySpyWindow], agent: dict[str, Any]
) -> Iterator[NotMeasured]:
    """Of each instrument the first reason why it gave nothing."""
    off = "switched off"
    if not options.waits:
        yield NotMeasured("waits", off, "leave out --no-waits")
    elif not os.path.exists("/proc/self/task"):
        yield NotMeasured("waits", "this system has no /proc", "profile on Linux")
    elif agent.get("no_gil_because"):
        yield NotMeasured("gil", agent["no_gil_because"])
    elif agent and not agent.get("frames"):
        reason = "holders are read where CPython is 3.11 to 3.13"
        yield NotMeasured("holders of locks", reason, "profile with one of those")
    if not options.stacks:
        yield NotMeasured("stacks", off, "leave out --no-stacks")
    elif stacks.find() is None:
        yield NotMeasured("stacks", "py-spy is missing", "pip install py-spy")
    elif not windows:
        yield NotMeasured("stacks", "the run was too short", "profile a longer run")
    if not options.functions and not options.attached:
        yield NotMeasured("functions", off, "leave out --no-functions")
    elif options.attached:
        return
    elif agent.get("no_yappi_because"):
        remedy = "pip install yappi for the interpreter that runs the script"
        yield NotMeasured("functions", agent["no_yappi_because"], remedy)
    elif not assemble.has_functions(raw):
        reason = "the run showed no steps, or ended before a window"
        remedy = "use --functions all, or profile a longer run"
        yield NotMeasured("functions", reason, remedy)


def _broken_off(options: Options, outcome: Outcome) -> Iterator[NotMeasured]:
    """Waits are missing from where the sampler was ended by somebody else."""
    code = outcome.sampler_code
    if not options.waits or not os.path.exists("/proc/self/task"):
        return
    if code is None:
        reason = "the wait sampler could not be started"
    elif code < 0 and code != -signal.SIGTERM:
        reason = f"the wait sampler was ended by signal {-code}"
    elif code == 1:
        reason = "the wait sampler failed"
    else:
        return
    yield NotMeasured("waits (all or some)", reason, "profile again")


def foreign_load(raw: Path, blocks: pd.DataFrame) -> float | None:
    """Cores that others kept busy, the median over quiet half-seconds.

    Args:
        raw: The spool folder, with lines of [t_ns, all seconds, own seconds].
        blocks: Times to leave out: py-spy's own work is not foreign.
    """
    lines = reading.read_lines(raw / spool.LOAD_FILE)
    if len(lines) < 3:
        return None
    table = np.array([line[:3] for line in lines], np.float64)
    start, end = table[:-1, 0], table[1:, 0]
    quiet = np.ones(len(start), bool)
    for block in blocks.itertuples(index=False):
        if block.kind in (spool.LEARNING, spool.PLANNING):
            continue
        quiet &= (end < block.start_ns) | (start > block.end_ns)
    spans = np.diff(table, axis=0)[quiet]
    spans = spans[spans[:, 0] > 1e8]
    if not len(spans):
        return None
    cores = (spans[:, 1] - spans[:, 2]) / (spans[:, 0] / 1e9)
    return round(max(float(np.median(cores)), 0.0), 2)
