"""Read the spool's fixed records, while they are being written and afterwards."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.recording import checked, spool
from debottleneck.recording.events import LoopEvent, SiteLine
from debottleneck.recording.loop import ChosenLoop, Marks, code_of


def _dtype(record: struct.Struct, names: str) -> np.dtype[Any]:
    kinds = {"q": "<i8", "i": "<i4"}
    codes = record.format.removeprefix("<")
    return np.dtype([(n, kinds[c]) for n, c in zip(names.split(), codes, strict=True)])


MARK_DTYPE = _dtype(spool.MARK, "t cpu code calls")
_WAIT = "pid tid start_ns end_ns oncpu_ns delay_ns holder state detail slices"
_COLLECTION = "pid tid start_ns end_ns cpu_ns tracked generation collected"
_COUNTER = "pid tid t_ns system_ns throttled_ns minor major"
FIXED = {
    "waits": (spool.WAITS_FILE, _dtype(spool.WAIT, _WAIT)),
    "collections": (
        f"{spool.COLLECTIONS}-*.bin",
        _dtype(spool.COLLECTION, _COLLECTION),
    ),
    "counters": (spool.COUNTERS_FILE, _dtype(spool.COUNTER, _COUNTER)),
    "handovers": (spool.HANDOVERS_FILE, _dtype(spool.HANDOVER, "pid t_ns switches")),
    "bursts": (
        spool.BURSTS_FILE,
        _dtype(spool.BURST, "pid t_ns span_ns held releases"),
    ),
}
"""Table -> the files of it, a pattern, and their records."""


class MarkFile:
    """One mark file: who wrote it, and its records so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with checked.opened(path) as file:
                head = file.read(spool.MARK_HEADER.size)
        except (OSError, checked.Unfit):
            head = b""
        self.started = len(head) == spool.MARK_HEADER.size
        if self.started:
            magic, self.pid, self.tid, self.ident = spool.MARK_HEADER.unpack(head)
            self.started = magic == spool.MARK_MAGIC
        self._read = 0
        self.full = False

    def records(self) -> NDArray[np.void]:
        """All records, once nobody writes any more."""
        raw = np.fromfile(self.path, dtype=MARK_DTYPE, offset=spool.MARK_START)
        return self._written(raw)

    def new_records(self) -> NDArray[np.void]:
        """Records since the last call; the last one waits while it may change."""
        offset = spool.MARK_START + self._read * MARK_DTYPE.itemsize
        raw = np.fromfile(self.path, dtype=MARK_DTYPE, offset=offset)
        written = self._written(raw)
        self.full = len(raw) > 0 and len(written) == len(raw)
        fresh = written if self.full else written[:-1]
        self._read += len(fresh)
        return fresh

    def _written(self, raw: NDArray[np.void]) -> NDArray[np.void]:
        empty = np.flatnonzero(raw["t"] == 0)
        return raw[: empty[0]] if len(empty) else raw


def mark_files(folder: Path) -> list[MarkFile]:
    """Every thread's files, in the order in which they were begun."""
    paths = sorted(folder.glob(spool.marks_glob()), key=last_number)
    return [file for file in map(MarkFile, paths) if file.started]


def read_fixed(folder: Path, pattern: str, dtype: np.dtype[Any]) -> pd.DataFrame:
    """Files of fixed records as far as they are written, be it half of one."""
    parts = []
    for path in sorted(folder.glob(pattern)):
        data = _bytes(path)
        size = len(data) // dtype.itemsize * dtype.itemsize
        parts.append(np.frombuffer(data[:size], dtype))
    records = np.concatenate(parts) if parts else np.empty(0, dtype)
    return pd.DataFrame(records[records["pid"] > 0])


def read_lines(path: Path, kind: Any = Any) -> list[Any]:
    """JSON lines up to the first that was cut off, or is of another kind.

    Args:
        path: A file, which need not be there.
        kind: What a line is, as `checked.fit` reads it.
    """
    lines = []
    for line in _bytes(path).decode("utf-8", "replace").splitlines():
        try:
            lines.append(checked.fit(kind, checked.parse(line)))
        except checked.Unfit:
            break
    return lines


def read_json(path: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """A JSON object; {} where there is none that can be read.

    Args:
        path: A file, which need not be there.
        kind: What it is, as `checked.fit` reads it.
    """
    try:
        facts: dict[str, Any] = checked.fit(kind, checked.document(path))
    except (OSError, checked.Unfit):
        return {}
    return facts


def _bytes(path: Path) -> bytes:
    """A regular file's content; none where there is no such file."""
    try:
        with checked.opened(path) as stream:
            return stream.read()
    except (OSError, checked.Unfit):
        return b""


def last_number(path: Path) -> int:
    """The process of a file such as `sites-123.jsonl`, when a mark file was begun."""
    number = path.stem.rsplit("-", 1)[1]
    return int(number) if number.isdecimal() and len(number) < 20 else 0


def read_sites(folder: Path, pid: int) -> list[SiteLine]:
    """What a process marks, by number, as far as the list is whole."""
    sites = read_lines(spool.sites_file(folder, pid), SiteLine)
    return [site for number, site in enumerate(sites) if site["site"] == number]


def last_choice(folder: Path, pid: int) -> LoopEvent | None:
    """The loop that a process trains in, as it said last; None if it never did."""
    events = spool.events_file(folder, pid)
    key = f'"{spool.LOOP}"'.encode()
    for line in reversed(_bytes(events).splitlines()):
        if key in line:  # of others a line may have megabytes
            with contextlib.suppress(checked.Unfit):
                choice: LoopEvent = checked.fit(LoopEvent, checked.parse(line))
                return choice
    return None


def chosen_loop(
    sites: Sequence[SiteLine], choice: LoopEvent | None
) -> ChosenLoop | None:
    """The loop of a choice; None where there is none, or its site is not listed."""
    if choice is None or choice["site"] >= len(sites):
        return None
    site = sites[choice["site"]]
    place = site["name"], site["file"], site["line"]
    return ChosenLoop(choice["site"], choice["tid"], *place, choice["why"])


def is_minor(name: str) -> bool:
    """Whether a site never bounds a step."""
    return name.endswith("zero_grad")


def as_marks(records: NDArray[np.void], sites: Sequence[SiteLine]) -> Marks:
    """Records of one thread as arrays for `loop`; unknown sites are left out."""
    codes = [code_of(site["stage"], site["kind"]) for site in sites]
    minor = [is_minor(site["name"]) for site in sites]
    site = records["code"] >> 2
    is_listed = site < len(sites)
    records, site = records[is_listed], site[is_listed].astype(np.int64)
    return Marks(
        records["t"].astype(np.int64),
        (records["code"] & 3).astype(np.int64),
        np.array(codes, np.int64)[site],
        np.array(minor, np.bool_)[site],
        site,
        records["calls"].astype(np.int64),
    )
