"""Raw files of a run while it is being measured, shared by its three processes.

The agent (inside the script) and the wait sampler append fixed records to files
that the tool reads: no thread and no message in the script, and whatever was
written survives a `kill -9`. Standard library only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""What a run leaves behind is for its owner alone: it holds arguments and paths."""


open_file, _open = open, os.open
"""Python's own, whatever the script puts in their place later on."""


def private(path: str, flags: int) -> int:
    """An opener for `open`: a file that it makes is its owner's, whatever the umask."""
    return _open(path, flags, FILE_MODE)


def lines_file(path: Path) -> TextIO:
    """A file of a run's folder to append lines to."""
    return open_file(path, "a", encoding="utf-8", opener=private)


def part_of(folder: Path, number: int) -> Path:
    """A new folder for a rank; whoever makes it has it, also after a restart."""
    name, attempt = PART.format(number), 1
    while True:
        part = folder / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            part.mkdir(mode=FOLDER_MODE, parents=True)
        except FileExistsError:
            attempt += 1
        else:
            return part


def write_private(file: Path, text: str) -> None:
    """A text file of a run's folder."""
    with open_file(file, "w", encoding="utf-8", opener=private) as stream:
        stream.write(text)


def private_folder(path: Path) -> None:
    """Make a folder of a run, or of several; one that is there becomes private too.

    Raises:
        OSError: It cannot be made.
    """
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)


MARK = struct.Struct("<qqii")
"""t_ns, cpu_ns, site * 4 + edge, calls; a zero t_ns is a record not yet written."""

ENTER, LEAVE, STEP_START, STEP_END = range(4)

BY_OPTIMIZER = "an optimizer's step"
"""Why a loop was chosen in which a library's optimizer is seen at work."""

BY_TIME = "most of the run's time and repeats, though nothing in it is known to train"
"""Why a loop was chosen that nothing tells of: training may be still to come."""

BY_STACKS = "nearly all stacks of the main thread"
BY_SECONDS = f"{BY_STACKS}, whose iterations are too short to be seen from outside"
"""Why a loop was chosen of a process that nobody prepared."""

SLICE_NS = 200_000_000
"""A step where iterations are not seen."""

LOOP, STATEMENT, OPENED = "loop", "statement", "opened"
"""Kinds of sites in the user's code. A loop (stage "step") has STEP_START before each
of its iterations that is marked and STEP_END when it is left; `calls` are iterations
completed since its mark before. A statement (stage "line") only has ENTER: the thread
is in it until the next one, or the loop's next mark. A function that was opened (stage
"line") has ENTER and LEAVE, and between them those of its own statements."""

API = "api"
"""Kind of the sites of `stage()` and `step()` in the script."""

MARK_HEADER = struct.Struct("<8sqqq")
"""Magic, pid, tid, ident of the thread; the records begin at MARK_START."""

MARK_MAGIC = b"dbnmark1"
MARK_START = 48
MARK_FILE_BYTES = MARK_START + 10_000 * MARK.size

WAIT = struct.Struct("<qqqqqqiiii")
"""pid, tid, start_ns, end_ns, oncpu_ns, delay_ns, holder, state, detail, slices."""

STATES = (
    "running",
    "gil",
    "lock",
    "disk",
    "network",
    "ipc",
    "sleep",
    "unattributed",
    "memory",
)
"""What a sample can say of a thread; `running` is on a core or waiting for one."""

LEARNING, PLANNING = "loops", "plans"
"""Blocks of time in which the agent learned loops or opened functions, and in which
strategies looked at a loop."""

CONTROL_BYTES = 64
CONTROL = struct.Struct("<BBBxiqq")
"""Call number, mode, boundary stage's index in words.STAGES (255: any), 0, trainer
tid, 0. A new call number asks the agent to look at the rest."""

ANY_BOUNDARY = 255

RECORD, FUNCTIONS_WALL, FUNCTIONS_CPU, FINISHED, STOP, DELAYS = range(6)
"""Modes that the tool asks for."""

RAW_FOLDER = "raw"
"""The spool's folder within the recording's, removed once all is put together."""

CONFIG = "config.json"
CONTROL_FILE = "control.bin"
WAITS_FILE = "waits.bin"
TRAINS_FILE = "trains"
"""Is there from when steps were seen on: the main thread is looked at no more."""
LOOKS_FILE, LOOK = "looks.bin", struct.Struct("<qqq")
"""start_ns, end_ns, stack: where the main thread was, of a process without agent."""
LOOKED_FILE = "looked.jsonl"
"""By number, a stack as [function, file, line] of its frames, the outermost first."""
DETAILS_FILE = "details.jsonl"
HOLDERS_FILE = "holders.jsonl"
HANDOVERS_FILE = "handovers.bin"
HANDOVER = struct.Struct("<qqq")
"""pid, t_ns, switches."""
BURSTS_FILE = "bursts.bin"
BURST = struct.Struct("<qqqii")
"""pid, t_ns, span_ns, held, releases: readings of the GIL in quick succession."""

BURST_READS = 24
"""Readings of a burst: about a microsecond each, so that releases of the GIL some
microseconds apart are counted, and one burst a tick costs the sampler half a percent
of a core."""
SAMPLER_FILE = "sampler.json"
CELLS_FILE = "cells.json"
"""Of code that is in no file, a notebook's cells: what it is called, its source."""
COMMS_FILE = "comms.jsonl"
LOAD_FILE = "load.jsonl"
NO_IMPORT = "no-import"
"""Event: the script ended as something could not be imported."""

WAKES = "wakes"
"""Event: a thread fills a queue."""

FORKED, LOADER, LOADER_ENDED, SLOW_ITEM = "forked", "loader", "loader-ended", "slow"
OPTIMIZER, DEVICE, RANK, MET = "optimizer", "device", "rank", "met"
"""Events: a process was forked; a DataLoader begins an epoch, its workers are ended; an
item took long in one of them; a class of optimizers makes its first step; when an
accelerator was where; the process is one of several that train together; all of them
have met in a collective, the so many-th."""

COLLECTIVE = "collective"
WAITS_ASIDE = (DEVICE, COLLECTIVE)
"""Kinds of sites at which a thread waits for the cause of that name: an accelerator,
other ranks."""

PART = "rank-{}"
"""Folder of a rank's recording, in that of a distributed run."""

UNPINNED = "from memory that is not pinned"
"""Ends the name of such a copy."""

COLLECTIONS = "collections"
"""Begin of the names of the files of garbage collections."""

COLLECTION = struct.Struct("<qqqqqqii")
"""pid, tid, start_ns, end_ns, cpu_ns, tracked, generation, collected; a zero pid is a
record not yet written."""

OLDEST = 2
"""The generation whose collection is a full one."""

COUNTERS_FILE = "counters.bin"
COUNTER = struct.Struct("<qqqqqii")
"""pid, tid, t_ns, system_ns, throttled_ns, minor, major: a thread's since its last."""

EVERY_THREAD = 0
"""Tid of the counters' rows whose minor faults are those of huge pages, of all."""

DELAYS_FILE, DELAYED = "delays.json", "delays"
PERCENTS = (10, 25, 50, 75, 100)
"""Which row the next block of delays is for; the event of one, and its kind;
how much faster rows are virtually."""

MOST_ROWS, LEAST_SHARE = 4, 0.05
"""Rows that virtual speed-ups are told of, and the part of the time each must take."""

STRATEGIES_FILE = "strategies.jsonl"
"""What strategies did and why not, see `strategies.rewriting.notes`."""


MARKER_FRAME = "[stage {}]"
"""How a frame is called that does nothing but mark a stage."""

FRAME_FILE = "<debottleneck stage, passed over like importlib._bootstrap>"
"""File of the wrappers' frames. `warnings` and `logging` pass over frames whose
file holds both "importlib" and "_bootstrap", so a `stacklevel` still points to the
user's own line."""


def _file_of(kind: str, ending: str = "jsonl") -> Callable[[Path, int], Path]:
    """(spool folder, process) -> the process's file of that kind."""
    return lambda folder, pid: folder / f"{kind}-{pid}.{ending}"


agent_file = _file_of("agent", "json")
"""Facts the agent states about its process."""

sites_file = _file_of("sites")
"""One JSON line a site, in order of its number."""

names_file = _file_of("names")
"""Names of Python threads, JSON lines of [tid, ident, name]."""

events_file = _file_of("events")
"""What the agent did when: yappi windows, failures; JSON lines."""

state_file = _file_of("state")
"""What a process's variables held after its steps, JSON lines, for the gate."""


def marks_glob(pid: int | str = "*") -> str:
    """Pattern of the mark files of every thread of one process, or of all."""
    return f"marks-{pid}-*.bin"
