"""Row x cause of a script that is running, from what its spool holds so far."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debottleneck.recording import reading, spool
from debottleneck.words import LINE, OTHER, STAGES


class Ticks:
    """Lays each of the sampler's ticks on the row that its thread was in.

    It reads what is written anyway, and of that only what is new: the script and the
    sampler do nothing for it.

    Args:
        folder: The spool folder.
        pid: The target.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder, self._pid = folder, pid
        self._files: dict[Path, reading.MarkFile] = {}
        self._last = np.empty(0, reading.MARK_DTYPE)
        self._read = 0
        self._later = np.empty(0, reading.FIXED["waits"][1])
        self._spent: Counter[tuple[str, str]] = Counter()

    def look(self, tid: int) -> dict[tuple[str, str], float]:
        """Milliseconds by row and cause since the first look, which is for no more.

        A row is a stage, or "line 12".
        """
        is_first = not len(self._last)
        marks, ticks = self._marks(tid), self._ticks(tid)
        if is_first or not len(marks):
            return {}
        known = ticks["end_ns"] <= marks["t"][-1]
        ticks, self._later = ticks[known], ticks[~known]
        at = np.searchsorted(marks["t"], ticks["end_ns"] - 1, side="right") - 1
        rows = self._rows()
        for place, tick in zip(at.tolist(), ticks, strict=True):
            code = int(marks["code"][place]) if place >= 0 else spool.LEAVE
            row = OTHER if code & 3 != spool.ENTER else rows.get(code >> 2, OTHER)
            delay = int(tick["delay_ns"])
            cause = spool.STATES[tick["state"]]
            if tick["state"] == 0:
                cause = "python" if tick["holder"] == tid else "native"
            length = max(int(tick["end_ns"] - tick["start_ns"]) - delay, 0)
            self._spent[row, cause] += length
            self._spent[row, "runqueue"] += delay
        return {key: ns / 1e6 for key, ns in self._spent.items() if ns}

    def _rows(self) -> dict[int, str]:
        sites = reading.read_sites(self._folder, self._pid)
        stages = {s["site"]: s["stage"] for s in sites if s["stage"] in STAGES}
        lines = (s for s in sites if s["stage"] == LINE)
        return stages | {s["site"]: f"line {s['line']}" for s in lines}

    def _marks(self, tid: int) -> NDArray[np.void]:
        """The thread's new marks, after the last one before them."""
        fresh = [self._last]
        for path in sorted(self._folder.glob(spool.marks_glob(self._pid))):
            if path not in self._files:
                file = reading.MarkFile(path)
                if not file.started:
                    continue
                self._files[path] = file
            if self._files[path].tid == tid and not self._files[path].full:
                fresh.append(self._files[path].new_records())
        marks = np.concatenate(fresh)
        marks = marks[np.argsort(marks["t"], kind="stable")]
        self._last = marks[-1:]
        return marks

    def _ticks(self, tid: int) -> NDArray[np.void]:
        """The thread's new ones, after those that no mark was known to follow."""
        name, kind = reading.FIXED["waits"]
        path = self._folder / name
        if not path.exists():
            return self._later
        ticks = np.fromfile(path, kind, offset=self._read * kind.itemsize)
        self._read += len(ticks)
        own = (ticks["pid"] == self._pid) & (ticks["tid"] == tid)
        return np.concatenate([self._later, ticks[own]])
