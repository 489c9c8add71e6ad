"""Run a module with its loops prepared, in a process and on a clock of its own.

The module has `wait(ns)`, which alone makes time pass, and `marks`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marking import PRELUDE
from running import SOURCES

from debottleneck.recording import reading, spool

_RUN = """
from debottleneck.agent import changes, discover, entries, evidence, opened, turns
from debottleneck.agent.discover import compile_marked
for module in (changes, entries, evidence, opened, turns):
    module.monotonic_ns = lambda: now[0]
script = Path(sys.argv[2])
place = zip(("file", "line", "why"), (str(script), *map(eval, sys.argv[3:])))
asked = dict(place) if sys.argv[3:] else None
BEFORE
evidence.start(asked, opened.Opening(lambda path: path == str(script)))
exec(compile_marked(script.read_bytes(), str(script), {}),
     {"__name__": "__main__", "wait": wait, "marks": marks})
"""


@dataclass(frozen=True)
class Looped:
    """(Edge, line, calls), threads that made any, output, events, sites' lines."""

    marks: list[tuple[int, int, int]]
    threads: int
    output: str
    events: list[dict[str, Any]]
    lines: list[int]

    @property
    def texts(self) -> list[str]:
        """`<n` and `>n` begin an iteration and end a loop, a line's number a row."""
        signs = {spool.STEP_START: "<{}", spool.STEP_END: ">{}"}
        return [
            signs[edge].format(calls) if edge in signs else str(line)
            for edge, line, calls in self.marks
        ]


def run_loops(
    folder: Path, source: str, asked: int = 0, before: str = "", why: str = ""
) -> Looped:
    """Run the module in `folder`, an empty one, and read what its loops marked.

    Args:
        folder: Where it runs.
        source: Of the module.
        asked: Line of the loop that the user asks for, 0 for none.
        before: Runs first, where the agent's modules can be changed.
        why: What showed that loop to train, where the tool says which it is.
    """
    driver, script = folder / "driver.py", folder / "script.py"
    driver.write_text(PRELUDE + _RUN.replace("BEFORE", before), encoding="utf-8")
    script.write_text(source, encoding="utf-8")
    line = [str(asked), repr(why)] if asked else []
    done = subprocess.run(
        [sys.executable, str(driver), str(folder), str(script), *line],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        check=False,
    )
    assert not done.returncode, done.stderr
    found: list[tuple[int, int, int]] = []
    threads = set()
    pid, lines = 0, list[int]()
    for written in reading.mark_files(folder):
        pid = written.pid
        sites = reading.read_lines(spool.sites_file(folder, pid))
        lines = [int(site["line"]) for site in sites]
        records = written.records().tolist()
        found += [(c & 3, lines[c >> 2], n) for _, _, c, n in records]
        threads |= {written.tid} if records else set()
    events = reading.read_lines(spool.events_file(folder, pid)) if pid else []
    return Looped(found, len(threads), done.stdout, events, lines)
