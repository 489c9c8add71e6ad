"""`kill -9` of the script, the tool, its sampler and py-spy, each at random moments.

    python tests/benchmarks/kills.py --times 100

Prints how often which outcome was seen. Right are: for the script exit code 137 and a
partial recording that loads; for the tool a script that goes on alone to its end, with
nothing more said and no process left; for the others the script's own exit code.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from debottleneck import load_recording
from debottleneck.errors import BottleneckError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "integration" / "scripts" / "outlived.py"
LATEST_S = 5.0
"""Kills come until then: start, blocks, py-spy, saving, report, and some time after."""

LIMIT_S = 120.0
VICTIMS = {
    "script": "entry.py",
    "tool": "",
    "sampler": "debottleneck.collect.sampler",
    "py-spy": "py-spy record",
}


class Run:
    """One profile in a session of its own, one process of which is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        options = ["--output", str(folder / "recording"), "--seconds", "2.5"]
        files = [str(folder / "go"), str(folder / "mark")]
        command = [sys.executable, "-m", "debottleneck", "profile", *options]
        self.said = folder / "said"
        with self.said.open("wb") as said, (folder / "out").open("wb") as out:
            self.tool = subprocess.Popen(
                [*command, str(SCRIPT), *files],
                stdout=out,
                stderr=said,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "bottleneck")},
            )

    def processes(self) -> dict[int, str]:
        """Command lines of the run's processes that live."""
        lines = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_text().replace("\0", " ")
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if str(self.folder) in line and stat[0] not in "ZX":
                lines[int(entry.name)] = line
        return lines

    def kill(self, victim: str) -> bool:
        """Whether there was such a process to kill."""
        words = VICTIMS[victim]
        pids = [pid for pid, line in self.processes().items() if words in line]
        pid = self.tool.pid if not words else pids[0] if pids else 0
        if not pid or (pid == self.tool.pid and self.tool.poll() is not None):
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def finish(self) -> None:
        """Let the script end, and wait for all processes of the run."""
        (self.folder / "go").touch()
        self.tool.wait(LIMIT_S)
        until = time.monotonic() + LIMIT_S / 4
        while self.processes() and time.monotonic() < until:
            time.sleep(0.02)


def outcome(run: Run, victim: str, said: str) -> str:
    """What became of a run whose victim has been killed."""
    left = run.processes()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if left:
        return f"WRONG: left running: {sorted(left.values())[0][:60]}"
    text = run.said.read_text()
    if "Traceback" in text:
        return f"WRONG: {text.strip().splitlines()[-1]}"
    finished = (run.folder / "mark").exists()
    if victim == "tool":
        files = ("raw/config.json", "recording.json")
        begun = any((run.folder / "recording" / file).exists() for file in files)
        if not begun and not finished:
            return "before the script was started"
        alone = finished and text == said
        return "the script ended by itself, silent" if alone else "WRONG: not finished"
    code = 137 if victim == "script" else 5
    if run.tool.returncode != code or finished != (victim != "script"):
        return f"WRONG: exit code {run.tool.returncode}, finished: {finished}"
    return f"exit code {code}, {kept(run.folder / 'recording')}"


def kept(folder: Path) -> str:
    """What there is of the recording."""
    if not folder.exists():
        return "killed before its first line, no recording"
    try:
        facts = load_recording(folder).facts
    except BottleneckError as error:
        return f"WRONG: {error}"
    missing = [gap.why for gap in facts.not_measured if "by signal 9" in gap.why]
    partial = "a partial" if facts.partial else "a whole"
    return f"{partial} recording{'; ' if missing else ''}{'; '.join(missing)}"


def main() -> None:
    """Kill, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victim", choices=VICTIMS, action="append")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    for victim in arguments.victim or VICTIMS:
        outcomes: Counter[str] = Counter()
        for _ in range(arguments.times):
            with tempfile.TemporaryDirectory(prefix="kills-") as name:
                run = Run(Path(name))
                time.sleep(moments.uniform(0, LATEST_S))
                killed = run.kill(victim)
                if victim == "tool":
                    run.tool.wait(LIMIT_S)
                said = run.said.read_text()
                run.finish()
                if killed:
                    outcomes[outcome(run, victim, said)] += 1
                else:
                    outcomes["not there at that moment"] += 1
        for text, count in outcomes.most_common():
            print(f"{victim:8} {count:4}  {text}", flush=True)


if __name__ == "__main__":
    main()
