"""Recording: everything known of one run, frozen; the middle of the toolkit.

A recording is a folder: `recording.json` (facts) beside one Parquet file a table.
Times are `time.monotonic_ns()` of the machine that ran the script, in nanoseconds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from debottleneck.errors import RecordingError
from debottleneck.recording import checked, spool, tables
from debottleneck.recording.checked import Between, Like, OneOf
from debottleneck.recording.columns import COLUMNS, without_rows
from debottleneck.recording.environment import Environment
from debottleneck.recording.machine import Machine
from debottleneck.recording.ranks import Meeting, Rank
from debottleneck.recording.tables import LONGEST_NS, Allowance, Id, Time

SCHEMA = 6
"""Version of the folder's layout; any other one is refused, not guessed at."""

FACTS_FILE = "recording.json"

Kind = TypeVar("Kind")


class Asked(TypedDict, total=False):
    """Options that are read again."""

    warmup: Annotated[int, Between(0)] | None
    rate: float
    strategies: str
    causal: bool


class Sampled(TypedDict, total=False):
    """What the wait sampler states of itself."""

    asked_hz: Annotated[float, Between(0)]
    achieved_hz: Annotated[float, Between(0)]
    cpu_share: Annotated[float, Between(0)]
    fault_ns: Annotated[float, Between(0)]
    huge_fault_ns: Annotated[float, Between(0)]
    failed: str


class Rates(TypedDict, total=False):
    """Rates that are read again."""

    sampler: Sampled
    mark_pair_us: Annotated[float, Between(0)] | None


class PlannedPiece(TypedDict):
    """A part of a loop's body, as `strategies.rewriting.plan.Piece`."""

    line: Id
    side: str
    ns: Annotated[float, Between(0, LONGEST_NS)]
    cpu_ns: Annotated[float, Between(0, LONGEST_NS)]
    name: str
    stages: tuple[str, ...]


class Planned(TypedDict):
    """What a strategy would do with a loop, as `strategies.rewriting.plan.Plan`."""

    strategy: str
    file: str
    line: Id
    places: tuple[Id, ...]
    workers: Annotated[int, Between(1, 4096)]
    where: Annotated[str, OneOf(("thread", "process"))]
    depth: Annotated[int, Between(1, 8192)]
    stays_ns: Annotated[float, Between(0, LONGEST_NS)]
    reason: str
    edit: str
    pieces: tuple[PlannedPiece, ...]
    apart: bool
    size: Time
    turns: Annotated[int, Between(0, 2**20)]
    entries: Annotated[float, Between(0, 2**20)]
    around: tuple[tuple[Id, Id], ...]
    feeds: bool


class Loader(TypedDict):
    """One iteration of a DataLoader with workers, or one that has none.

    `prefetch` and `batch` are 0 where not set; `start` is how processes are started, ""
    for Python's usual way; `ordered` says that batches keep their order, `may_reorder`
    that torch can do without, `of_tensors` that items are rows of tensors; `end_ns` is
    0 while workers live.
    """

    loader: Id
    pids: tuple[Id, ...]
    start_ns: Time
    end_ns: Time
    workers: Id
    persistent: bool
    prefetch: Id
    pin: bool
    sharing: str
    start: str
    batch: Id
    sampler: str
    ordered: bool
    may_reorder: bool
    of_tensors: bool


class SlowItem(TypedDict):
    """An item that took a worker many times as long as usual, see `agent`.

    `index` is in words; `usual_ns` the median of the last of `items` that it had made,
    `p99_ns` what one in a hundred takes at least.
    """

    pid: Id
    index: str
    took_ns: Time
    usual_ns: Time
    p99_ns: Time
    items: Time


class DeviceStep(TypedDict):
    """(A mark's time, when an accelerator got there) in a step, but for a shift."""

    tid: Id
    times: tuple[tuple[Time, Time], ...]


class OptimizerForms(TypedDict):
    """A class of torch's optimizers: its forms of few operations, those asked for."""

    name: str
    offers: tuple[str, ...]
    asked: tuple[str, ...]


class Delayed(TypedDict):
    """A block in which a row of the target was virtually faster, see `agent.delays`.

    `site` is the row's, `delay_ns` the length of its pass times `percent`; `credits`
    are times of the trainer, and by how much it would be earlier then. Those of 0
    percent are what others are held against.
    """

    site: Annotated[int, Between(0, 2**29 - 1)]
    percent: Annotated[int, Between(0, 100)]
    delay_ns: Time
    start_ns: Time
    end_ns: Time
    credits: tuple[tuple[Time, Time], ...]


@dataclass(frozen=True)
class NotMeasured:
    """Something the report lacks: `what`, `why`, and the `remedy`."""

    what: str
    why: str
    remedy: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of the run beside its tables.

    Attributes:
        command: The target's command line as the user gave it.
        script: Path of the script, or the module's name.
        directory: Working directory of the run.
        created: ISO 8601 time of the start, UTC.
        start_ns: Monotonic time of the target's launch; `end_ns` of measuring's end.
        pid: The target's process.
        main_tid: Its main thread.
        options: The profile command's options, by name.
        environment: Host, Python, libraries, limits (`environment.describe`).
        exit_code: The target's exit code, None while it ran or if a signal ended it.
        exit_signal: That signal.
        ended_by: Why measuring ended: "exit", "steps", "seconds" or "signal".
        partial: True when the run was cut off, with `partial_why`.
        machine: What it costs a loop (`Machine.as_dict`), {} if not measured.
        rates: Asked and achieved rates and costs of the instruments.
        not_measured: What is missing and why.
        plans: What strategies would do with its loops, in the order in which the
            agent said so.
        feeders: Threads of the target that put things into a queue in a loop.
        wakers: Those that wake its trainer, those that wake those, and so on.
        delays: Blocks in which one of its rows was virtually faster.
        loaders: Iterations of DataLoaders in its own process.
        slow_items: Items that took their workers long.
        optimizers: Classes of them that made steps.
        device: Steps in which an accelerator was timed.
        ranks: Which of a distributed run it was, each time that it joined one.
        meetings: Some of the collectives of all ranks.
        sizes: MB of memory, and open files, at first and at last.
        beginning: File, number and text of lines that took so many ms before all steps.
    """

    command: tuple[str, ...]
    script: str
    directory: str
    created: str
    start_ns: Time
    end_ns: Time
    pid: Id
    main_tid: Id
    options: Annotated[Mapping[str, Any], Like(Asked)] = field(default_factory=dict)
    environment: Annotated[Mapping[str, Any], Like(Environment)] = field(
        default_factory=dict
    )
    exit_code: int | None = None
    exit_signal: int | None = None
    ended_by: Annotated[str, OneOf(("exit", "steps", "seconds", "signal"))] = "exit"
    partial: bool = False
    partial_why: str = ""
    machine: Annotated[Mapping[str, Any], Like(Machine)] = field(default_factory=dict)
    rates: Annotated[Mapping[str, Any], Like(Rates)] = field(default_factory=dict)
    not_measured: tuple[NotMeasured, ...] = ()
    plans: tuple[Planned, ...] = ()
    feeders: tuple[Id, ...] = ()
    wakers: tuple[Id, ...] = ()
    delays: tuple[Delayed, ...] = ()
    loaders: tuple[Loader, ...] = ()
    slow_items: tuple[SlowItem, ...] = ()
    optimizers: tuple[OptimizerForms, ...] = ()
    device: tuple[DeviceStep, ...] = ()
    ranks: tuple[Rank, ...] = ()
    meetings: tuple[Meeting, ...] = ()
    sizes: tuple[tuple[Id, Id], ...] = ()
    beginning: tuple[tuple[str, Id, str, Time], ...] = ()


@dataclass(frozen=True, eq=False)  # tables have no single truth value
class Recording:
    """One run: facts and tables, immutable by agreement, as in `columns.COLUMNS`.

    A table of an instrument that did not run is present and empty, and
    `facts.not_measured` says why.
    """

    facts: Facts
    sites: pd.DataFrame
    loops: pd.DataFrame
    threads: pd.DataFrame
    marks: pd.DataFrame
    waits: pd.DataFrame
    collections: pd.DataFrame
    counters: pd.DataFrame
    details: pd.DataFrame
    holders: pd.DataFrame
    handovers: pd.DataFrame
    bursts: pd.DataFrame
    blocks: pd.DataFrame
    stacks: pd.DataFrame
    frames: pd.DataFrame
    functions: pd.DataFrame
    sources: pd.DataFrame
    path: Path | None = None

    @classmethod
    def of(
        cls, facts: Facts, tables: Mapping[str, pd.DataFrame], path: Path | None = None
    ) -> Recording:
        """Make a recording from some tables; those not given are empty."""
        complete = {name: tables.get(name, empty(name)) for name in COLUMNS}
        return cls(facts=facts, path=path, **complete)

    def save(self, folder: Path) -> None:
        """Write the folder; facts last, so that they vouch for the tables."""
        folder.mkdir(mode=spool.FOLDER_MODE, parents=True, exist_ok=True)
        for name in COLUMNS:
            table: pd.DataFrame = getattr(self, name)
            _write(table, folder / f"{name}.parquet")
        facts = dataclasses.asdict(self.facts)
        text = json.dumps({"schema": SCHEMA, **facts}, indent=1)
        spool.write_private(folder / FACTS_FILE, text + "\n")


def _write(table: pd.DataFrame, file: Path) -> None:
    """One table in its smallest form: of times only the differences.

    A reader knows the columns' types (`COLUMNS`), so the file says them once.
    """
    times = [name for name in table.columns if name.endswith("_ns")]
    plain = pa.Table.from_pandas(table, preserve_index=False)
    with open(file, "wb", opener=spool.private) as stream:
        pq.write_table(
            plain.replace_schema_metadata(None),
            stream,
            compression="zstd",
            store_schema=False,
            use_dictionary=[name for name in table.columns if name not in times],
            column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
        )


def empty(name: str) -> pd.DataFrame:
    """An empty table of that name with its columns typed."""
    return without_rows(COLUMNS[name])


def typed(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of table `name`, in order and with their types."""
    return rows[list(COLUMNS[name])].astype(dict(COLUMNS[name]))


def read(folder: Path) -> Recording:
    """Read a finished recording.

    Raises:
        RecordingError: No recording there, another schema, or a broken table.
    """
    facts = _read_facts(folder)
    allowance = Allowance.of(folder / f"{name}.parquet" for name in COLUMNS)
    read_in = {name: _read_table(folder, name, allowance) for name in COLUMNS}
    if not read_in["stacks"]["stack"].isin(read_in["frames"]["stack"]).all():
        raise RecordingError(
            f"table {folder / 'frames.parquet'} lacks frames of stacks",
            "profile the script again, or restore the file",
        )
    return Recording.of(facts, read_in, folder)


def _read_facts(folder: Path) -> Facts:
    file = folder / FACTS_FILE
    if not file.is_file():
        raise RecordingError(
            f"{folder} is not a recording (it has no {FACTS_FILE})",
            "name a folder that `bottleneck profile` wrote",
        )
    return vouched(Facts, file, SCHEMA, "profile the script again")


def vouched(kind: type[Kind], file: Path, schema: int, again: str) -> Kind:
    """What a saved folder says of itself, and of which version it is.

    Args:
        kind: A dataclass; its annotations say what can be.
        file: JSON of its fields, and the schema.
        schema: The version that can be read.
        again: What to do about another one.

    Raises:
        RecordingError: It is damaged, another schema, or lacks something.
    """
    try:
        raw = checked.document(file)
        found = raw.pop("schema")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RecordingError(
            f"{file} is damaged ({in_one_line(error)})", again
        ) from error
    if found != schema or type(found) is not int:
        newer = type(found) is not int or found > schema
        age = "a newer" if newer else "an older"
        raise RecordingError(
            f"{file.parent} was written by {age} debottleneck "
            f"(schema {repr(found)[:20]}, this one reads {schema})",
            "upgrade with: pip install --upgrade debottleneck" if newer else again,
        )
    try:
        return checked.read(kind, raw)
    except checked.Unfit as error:
        raise RecordingError(
            f"{file} lacks facts this version needs ({in_one_line(error)})", again
        ) from error


def _read_table(folder: Path, name: str, allowance: Allowance) -> pd.DataFrame:
    file = folder / f"{name}.parquet"
    try:
        table = tables.read(file, COLUMNS[name], allowance)
        tables.check(name, table)
    except (OSError, checked.Unfit) as error:
        raise RecordingError(
            f"table {file} is missing or broken ({in_one_line(error)})",
            "profile the script again, or restore the file",
        ) from error
    return table


def in_one_line(error: Exception) -> str:
    """An error's own words, short."""
    return " ".join(str(error).split())[:120]
