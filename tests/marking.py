"""Run a snippet with recording on, in a process and on a clock of its own.

The snippet has `stage`, `step`, `marks`, `spool`, `wrap`, `writer`, `folder` and
`wait(ns, cpu=0)`, which alone makes time pass.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from running import SOURCES

from debottleneck.recording import reading, spool

PRELUDE = """
import os, sys, threading
from pathlib import Path
from debottleneck.recording import spool
from debottleneck import stage, step
from debottleneck.agent import marks, sites
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.agent.wrap import wrap

now = [1_000_000_000, 0]

def wait(ns, cpu=0):
    now[0] += ns
    now[1] += cpu

marks.monotonic_ns = lambda: now[0]
marks.thread_time_ns = lambda: now[1]
folder = Path(sys.argv[1])
(folder / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
attended = []
writer = SpoolWriter(folder, attended.append)
marks.start(writer)
"""

_SIGNS = {
    spool.ENTER: "+{}",
    spool.LEAVE: "-{}",
    spool.STEP_START: "begin",
    spool.STEP_END: "end",
}


@dataclass(frozen=True)
class Mark:
    """One mark as read back; `text` is "+load", "-load*3", "begin" or "end"."""

    text: str
    t_ns: int
    cpu_ns: int
    name: str


@dataclass(frozen=True)
class Marked:
    """What a snippet left: marks by (pid, tid), its own pid, and its output."""

    threads: dict[tuple[int, int], list[Mark]]
    folder: Path
    pid: int
    output: str

    @property
    def marks(self) -> list[Mark]:
        """Marks of the only thread that made any."""
        if not self.threads:
            return []
        (only,) = self.threads.values()
        return only

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [mark.text for mark in self.marks]


def run_marked(folder: Path, snippet: str, code: int = 0) -> Marked:
    """Run the snippet in `folder`, an empty one, and read what it marked.

    Args:
        folder: Where the spool goes.
        snippet: Python source, indented as one likes.
        code: The exit code that is expected.
    """
    file = folder / "snippet.py"
    file.write_text(PRELUDE + textwrap.dedent(snippet), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(file), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    )
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert code or not errors
    threads: dict[tuple[int, int], list[Mark]] = {}
    for written in reading.mark_files(folder):
        key = (written.pid, written.tid)
        threads.setdefault(key, []).extend(_marks(folder, written))
    return Marked({k: v for k, v in threads.items() if v}, folder, process.pid, output)


def _marks(folder: Path, written: reading.MarkFile) -> list[Mark]:
    sites = reading.read_lines(spool.sites_file(folder, written.pid))
    assert [site["site"] for site in sites] == list(range(len(sites)))
    return [_mark(record, sites) for record in written.records().tolist()]


def _mark(record: tuple[int, int, int, int], sites: list[dict[str, str]]) -> Mark:
    t_ns, cpu_ns, code, calls = record
    site = sites[code >> 2]
    text = _SIGNS[code & 3].format(site["stage"])
    if calls > 1:
        text += f"*{calls}"
    return Mark(text, t_ns, cpu_ns, site["name"])
