"""The ranks of a distributed run: which one this is, and where each one's part goes.

A distributed run is a folder with a recording for each rank. Ranks agree on it without
a word: it is named by the start of the process that has launched them all.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from debottleneck.collect.options import Options
from debottleneck.errors import UsageError
from debottleneck.recording import spool

CLAIM = "reported"
"""Made by the rank that reports all."""

LEAST_HZ = 25.0
"""Samples a second of each rank, however many share a machine."""


@dataclass(frozen=True)
class Place:
    """A rank as its launcher says it.

    Attributes:
        rank: Its number.
        here: Ranks on this machine.
    """

    rank: int
    here: int

    def rate(self, asked: float) -> float:
        """Samples a second: the ranks of a machine cost what one process does."""
        return max(asked / self.here, min(asked, LEAST_HZ))

    def part(self, run: Path) -> Path:
        """Make the folder of its recording in that of the run.

        Raises:
            UsageError: It cannot be made.
        """
        try:
            return spool.part_of(run, self.rank)
        except OSError as error:
            raise UsageError(
                f"{run} cannot be written ({error.strerror})",
                "choose another place with --output",
            ) from error

    def is_last(self, run: Path) -> bool:
        """Whether all others here have saved theirs, and nobody else reports."""
        if (run / spool.RAW_FOLDER).is_dir():  # a tool around the launcher will
            return False
        if len(saved(run)) < self.here:
            return False
        try:
            (run / CLAIM).touch(spool.FILE_MODE, exist_ok=False)
        except OSError:
            return False
        return True


def place() -> Place | None:
    """This process's, None where nobody has launched it as one."""
    try:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    except (KeyError, ValueError):
        return None
    return Place(rank, max(here, 1)) if rank >= 0 else None


def name_of_run(target: str) -> str:
    """Of the folder that all ranks here have: their launcher is one process."""
    parent = os.getppid()
    fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    began = fields[19]
    return f"{Path(target).stem or 'run'}-ranks-{parent}-{began}"


def launched(options: Options) -> str:
    """What ends the measurement of a launcher: its ranks are measured from now on."""
    return "ranks" if options.ranks and parts(options.output) else ""


def parts(run: Path) -> list[Path]:
    """Folders of the ranks in that of a distributed run, by number; of any other []."""
    found = run.glob(spool.PART.format("*"))
    return sorted((p for p in found if p.is_dir()), key=lambda p: (len(p.name), p.name))


def saved(run: Path) -> list[Path]:
    """Those that are recordings by now."""
    from debottleneck.recording.recording import FACTS_FILE

    return [part for part in parts(run) if (part / FACTS_FILE).is_file()]


def all_saved(run: Path) -> bool:
    """Whether all that have begun are: none ends before another has trained."""
    return len(saved(run)) == len(parts(run)) > 0


def end_like(code: int) -> int:
    """A script's exit code, of one that a signal ended by that signal.

    A launcher tells them apart.
    """
    number = code - 128
    if number in signal.valid_signals():
        sys.stderr.flush()
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    return code
