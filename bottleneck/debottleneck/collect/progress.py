"""Count the steps of a script that is running, from its marks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debottleneck.recording import reading, spool
from debottleneck.recording.loop import CODE, Steps, choose_trainer


@dataclass(frozen=True)
class Seen:
    """What is known of the loop so far."""

    steps: Steps
    trainer_tid: int
    boundary: int


class StepCounter:
    """Follows the mark files of the target's own process.

    Args:
        folder: The spool folder.
        pid: The target.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder = folder
        self._pid = pid
        self._files: dict[Path, reading.MarkFile] = {}
        self._threads: dict[int, list[NDArray[np.void]]] = {}

    def look(self) -> Seen | None:
        """Read what is new; None while no thread shows steps."""
        self._read_new()
        codes, minor = reading.stage_codes(self._folder, self._pid)
        threads = {}
        for tid, chunks in self._threads.items():
            records = np.concatenate(chunks)
            self._threads[tid] = [records]
            threads[tid] = reading.as_marks(records, codes, minor)
        trainer, steps = choose_trainer(threads, self._pid)
        return Seen(steps, trainer, _boundary(steps)) if len(steps) else None

    def _read_new(self) -> None:
        for path in self._folder.glob(spool.marks_glob(self._pid)):
            if path not in self._files:
                file = reading.MarkFile(path)
                if file.started:
                    self._files[path] = file
        for file in self._files.values():
            if not file.full:
                fresh = file.new_records()
                if len(fresh):
                    self._threads.setdefault(file.tid, []).append(fresh)


def _boundary(steps: Steps) -> int:
    """The stage at whose entry windows may begin: the one that bounds steps."""
    for name in ("load", "forward"):
        if steps.rule.endswith(f"each {name}"):
            return CODE[name]
    return spool.ANY_BOUNDARY
