"""`bottleneck attach PID`: a running training seen from outside, and left as it was."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from debottleneck import load_recording

SHORT = """
import threading, time

GUARD = threading.Lock()


def keep():
    while True:
        with GUARD:
            time.sleep(0.003)
        time.sleep(0.0005)


def load():
    with GUARD:
        return sum(range(1000))


threading.Thread(target=keep, name="keeper", daemon=True).start()
print("ready", flush=True)
total = 0
for epoch in range(2):
    while True:
        total += load()
        total += sum(range(20_000))
print("done")
"""

LONG = """
import sys, time


def compute():
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass


print("ready", flush=True)
for batch in range(10_000):
    time.sleep(0.15)
    compute()
    if batch > 40 and sys.argv[1:] == ["ends"]:
        break
print("done")
"""


@contextlib.contextmanager
def running(code: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A script that has begun to train; ended at last."""
    (folder / "train.py").write_text(code)
    with subprocess.Popen(
        [sys.executable, "train.py", *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def attach(
    pid: int, folder: Path, environment: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    """The command, from another directory than the script's."""
    command = [sys.executable, "-m", "debottleneck", "attach", *options]
    (folder / "elsewhere").mkdir(exist_ok=True)
    return subprocess.run(
        [*command, "--output", str(folder / "seen"), str(pid)],
        cwd=folder / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def is_untouched(pid: int) -> bool:
    """Whether nobody traces it, or has stopped it, and it has no children."""
    text = Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return (status["TracerPid"], children) == ("0", "") and status["State"][0] in "RS"


@pytest.mark.slow
def test_who_holds_a_lock_is_seen_from_outside(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Rows are the loop's lines; of short iterations lengths are not told."""
    with running(SHORT, tmp_path) as process:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        done = attach(process.pid, tmp_path, environment, "--seconds", "5")
        assert done.returncode == 0, done.stderr
        assert is_untouched(process.pid)
        added = Path(f"/proc/{process.pid}/maps").read_text().count(".so")
        assert added == maps.count(".so")
        assert process.poll() is None
    shown = load_recording(tmp_path / "seen")
    analysis = shown.analysis
    assert analysis.loop.line == 23, analysis.loop
    assert "0.2 s" in analysis.loop.rule
    assert "lengths of steps unknown" in str(shown.facts.not_measured)
    shares = analysis.stages.set_index("stage")["share"]
    assert shares["train.py:24"] > 0.2
    if sys.version_info < (3, 14):
        held = analysis.lock_waits.query("stage == 'train.py:24'")
        assert set(held["holder_thread"]) == {"keeper"}
        assert set(held["holder_function"]) == {"keep"}
    assert f"process {process.pid} runs on as it was" in done.stderr


@pytest.mark.alone
@pytest.mark.slow
def test_long_iterations_are_steps(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each is seen, as its statements follow each other."""
    with running(LONG, tmp_path) as process:
        done = attach(process.pid, tmp_path, environment, "--seconds", "6")
        assert done.returncode == 0, done.stderr
        assert is_untouched(process.pid)
    analysis = load_recording(tmp_path / "seen").analysis
    assert analysis.loop.rule.startswith("a step is one iteration of"), analysis.loop
    assert analysis.loop.step_ms > 190
    causes = analysis.causes.set_index(["stage", "role", "cause"])["ms_per_step"]
    assert causes["train.py:13", "trainer", "sleep"] == pytest.approx(150, rel=0.1)
    assert set(load_recording(tmp_path / "seen").sources["text"]) >= {"    compute()"}


@pytest.mark.slow
def test_it_ends_with_the_process(tmp_path: Path, environment: dict[str, str]) -> None:
    """What was seen until then is reported."""
    with running(LONG, tmp_path, "ends") as process:
        begun = time.monotonic()
        done = attach(process.pid, tmp_path, environment, "--seconds", "100")
        assert time.monotonic() - begun < 60
        assert done.returncode == 0, done.stderr
        assert process.stdout is not None
        assert process.stdout.read() == "done\n"
        assert process.wait() == 0
    assert (tmp_path / "seen" / "recording.json").is_file()


def test_what_cannot_be_attached_to(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """No process, no Python, too short: a sentence with its remedy, and no folder."""
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            while Path(f"/proc/{sleeper.pid}/comm").read_text() != "sleep\n":
                time.sleep(0.01)
            other = attach(sleeper.pid, tmp_path, environment)
        finally:
            sleeper.kill()
    gone = attach(2**22 - 1, tmp_path, environment)
    short = attach(os.getpid(), tmp_path, environment, "--seconds", "1")
    assert [done.returncode for done in (other, gone, short)] == [2, 2, 2]
    assert "is no Python; name the one" in other.stderr
    assert "there is no process 4194303 to look at; take its number" in gone.stderr
    assert "--seconds must be at least 3" in short.stderr
    assert not (tmp_path / "seen").exists()
