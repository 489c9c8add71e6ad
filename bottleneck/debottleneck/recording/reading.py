"""Read the spool's fixed records, while they are being written and afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.recording import spool
from debottleneck.recording.loop import CODE, Marks

MARK_DTYPE = np.dtype([("t", "<i8"), ("cpu", "<i8"), ("code", "<i4"), ("calls", "<i4")])
WAIT_DTYPE = np.dtype(
    [(n, "<i8") for n in ("pid", "tid", "start_ns", "end_ns", "oncpu_ns", "delay_ns")]
    + [(n, "<i4") for n in ("holder", "state", "detail", "slices")]
)
HANDOVER_DTYPE = np.dtype([("pid", "<i8"), ("t_ns", "<i8"), ("switches", "<i8")])
BURST_DTYPE = np.dtype(
    [
        *((name, "<i8") for name in ("pid", "t_ns", "span_ns")),
        *((name, "<i4") for name in ("held", "releases")),
    ]
)


class MarkFile:
    """One mark file: who wrote it, and its records so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(spool.MARK_HEADER.size)
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
    paths = sorted(
        folder.glob(spool.marks_glob()), key=lambda p: int(p.stem.rsplit("-", 1)[1])
    )
    return [file for file in map(MarkFile, paths) if file.started]


def read_fixed(path: Path, dtype: np.dtype[Any]) -> pd.DataFrame:
    """A file of fixed records; one cut off in the middle of a record is fine."""
    if not path.exists():
        return pd.DataFrame(np.empty(0, dtype))
    data = path.read_bytes()
    whole = len(data) // dtype.itemsize * dtype.itemsize
    return pd.DataFrame(np.frombuffer(data[:whole], dtype))


def read_lines(path: Path) -> list[Any]:
    """JSON lines; a last line that was cut off is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def pid_of(path: Path) -> int:
    """The process that a file such as `sites-123.jsonl` belongs to."""
    return int(path.stem.rsplit("-", 1)[1])


def stage_codes(folder: Path, pid: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Stage number and minority of each site of a process."""
    sites = read_lines(spool.sites_file(folder, pid))
    codes = np.array([CODE[site["stage"]] for site in sites], np.int64)
    minor = np.array([is_minor(site["name"]) for site in sites], np.bool_)
    return codes, minor


def is_minor(name: str) -> bool:
    """Whether a site never bounds a step."""
    return name.endswith("zero_grad")


def as_marks(
    records: NDArray[np.void],
    codes: NDArray[np.int64],
    minor: NDArray[np.bool_],
) -> Marks:
    """Records of one thread as arrays for `loop`; unknown sites are left out."""
    site = records["code"] >> 2
    known = site < len(codes)
    records, site = records[known], site[known].astype(np.int64)
    edge = (records["code"] & 3).astype(np.int64)
    return Marks(records["t"].astype(np.int64), edge, codes[site], minor[site])
