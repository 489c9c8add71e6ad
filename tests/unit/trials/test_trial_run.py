"""One trial of a real, small script: steps, limits, crashes, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made_trials import note, script

from debottleneck.collect.options import Options
from debottleneck.errors import UsageError
from debottleneck.recording.loop import Steps
from debottleneck.strategies.rewriting.notes import REFUSED
from debottleneck.trials.trial import (
    Measured,
    engaged_at,
    last_lines,
    run_trial,
)
from debottleneck.trials.usage import Usage, cpu_seconds, memory_mb, tree_of

LOOP = """
import sys, time
def load_batch(i):
    time.sleep(0.005)
    return i
def forward(batch):
    return batch
for i in range({steps}):
    {body}
    forward(load_batch(i))
print("done", file=sys.stderr)
"""

Trial = Callable[..., tuple[Measured, Path]]

needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="needs /proc"
)


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """Run a loop; its trial, and the log's path."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = tmp_path / "log"

    def run(
        body: str = "pass", *, loop: int = 10_000, steps: int = 20, limit: float = 60
    ) -> tuple[Measured, Path]:
        path = script(tmp_path / "train.py", LOOP.format(steps=loop, body=body))
        target = Options(str(path), ("--lr", "1"), False, sys.executable)
        found = run_trial(target, "", steps=steps, gate=None, limit_s=limit, log=log)
        assert not list(tmp_path.glob("bottleneck-trial-*"))
        return found, log

    return run


def test_it_is_stopped_after_its_steps(trial: Trial) -> None:
    """Long before the script's own end, without a failure."""
    found, log = trial()
    assert 20 <= len(found.step_ns) < 1000
    assert found.failure == ""
    rule = 'a step is one iteration of "for i in range(10000)" (train.py:8)'
    assert found.rule == rule
    assert found.step_ns.min() >= 5_000_000
    assert np.all(np.diff(found.start_ns) > 0)
    assert log.read_text() == ""


def test_a_short_script_ends_by_itself(trial: Trial) -> None:
    """What it had is what there is; its output is in the log."""
    found, log = trial(loop=12)
    assert len(found.step_ns) == 12
    assert (found.exit_code, found.failure) == (0, "")
    assert log.read_text() == "done\n"


def test_nothing_comes_in(trial: Trial) -> None:
    """The script reads an empty standard input, not the user's keyboard."""
    found, log = trial("print(repr(sys.stdin.read()), sys.argv[1:])", loop=8)
    assert found.failure == ""
    assert log.read_text().startswith("'' ['--lr', '1']")


def test_a_crash_names_code_cause_and_log(trial: Trial) -> None:
    """The last line of its output is in the sentence, all of it in the log."""
    found, log = trial("assert i < 5, 'too far'")
    assert found.exit_code == 1
    assert found.failure == (
        f"ended with exit code 1 (AssertionError: too far); its output: {log}"
    )
    assert "Traceback" in log.read_text()


def test_a_signal_is_named(trial: Trial) -> None:
    """A script that is killed says by what."""
    found, _ = trial("import os; os.kill(os.getpid(), 9 if i > 5 else 0)")
    assert found.failure.startswith("ended with signal 9;")


@pytest.fixture(params=["heeded", "ignored"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether the tool was started with SIGINT ignored, as behind `nohup` and `&`."""
    here = signal.default_int_handler if request.param == "heeded" else signal.SIG_IGN
    before = signal.signal(signal.SIGINT, here)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_hung_script_is_ended_and_says_where(trial: Trial) -> None:
    """The log shows the line at which it hung."""
    found, log = trial("i == 7 and time.sleep(1000)", limit=1.5)
    assert found.failure.startswith("hung after step 7, ended after 2 s;")
    assert "KeyboardInterrupt" in log.read_text()
    assert "i == 7" in log.read_text()


@pytest.mark.parametrize(("ignored", "ended_by"), [((2,), 15), ((2, 15), 9)])
def test_a_script_that_ignores_ctrl_c_is_ended(
    trial: Trial, ignored: tuple[int, ...], ended_by: int
) -> None:
    """It gets its grace, then it is told to end, and at last killed."""
    body = f"import signal; [signal.signal(n, signal.SIG_IGN) for n in {ignored}]; "
    begun = time.monotonic()
    found, _ = trial(body + "time.sleep(1000)", limit=0.5)
    assert found.failure.startswith("hung before its first step")
    assert found.exit_code == -ended_by
    assert time.monotonic() - begun < 60


def test_a_slow_script_is_no_hung_one(trial: Trial) -> None:
    """Out of time in the middle of its steps: what it did counts."""
    found, _ = trial(steps=100_000, limit=1.5)
    assert found.failure == ""
    assert len(found.step_ns) > 10


def test_a_script_without_steps(trial: Trial) -> None:
    """There is nothing to measure, and that is said."""
    found, _ = trial("break")
    assert found.failure.startswith("showed no steps;")


def test_it_writes_its_checkpoint_to_the_end(trial: Trial, tmp_path: Path) -> None:
    """Stopped in the midst, it is given time to write; then the old one is back."""
    place = tmp_path / "model.ckpt"
    place.write_text("good")
    save = f"""
import atexit, time
@atexit.register
def save():
    with open({str(place)!r}, "w") as file:
        for _ in range(8):
            file.write("x" * 9)
            file.flush()
            time.sleep(0.5)
        print(file.tell())
"""
    found, log = trial(f"i or exec({save!r})")
    assert found.failure == ""
    assert log.read_text() == "72\n"
    assert found.changes.changed == (str(place),)
    assert place.read_text() == "good"


def test_a_trial_knows_that_it_is_one(trial: Trial) -> None:
    """A script may leave out what must not happen many times."""
    found, log = trial("import os; print(os.environ['BOTTLENECK_TRIAL'])", loop=8)
    assert found.failure == ""
    assert log.read_text().startswith("1\n")


@needs_proc
def test_no_process_of_it_is_left(trial: Trial) -> None:
    """Neither a child of its own nor one in a session of its own."""
    body = (
        "import subprocess as s; i == 3 and [print(s.Popen(['sleep', '600'], "
        "start_new_session=own).pid, flush=True) for own in (False, True)]"
    )
    _, log = trial(body)
    pids = [int(line) for line in log.read_text().split()]
    assert len(pids) == 2
    until = time.monotonic() + 20
    while any(_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@needs_proc
def test_memory_and_cpu_are_of_the_whole_tree(trial: Trial) -> None:
    """A child's 60 MB and its work count, beside the script's own."""
    child = "x = b'x' * 60_000_000\nwhile True: sum(range(1000))"
    body = f"i or __import__('subprocess').Popen([sys.executable, '-c', {child!r}])"
    lone, _ = trial(steps=100)
    both, _ = trial(body, steps=100)
    assert lone.memory_mb is not None
    assert both.memory_mb is not None
    assert 40 < both.memory_mb - lone.memory_mb < 200
    own, shared = lone.cpu_ms(10), both.cpu_ms(10)
    assert own is not None
    assert shared is not None
    assert shared > own
    assert both.cpu_s >= 0.0


def test_cpu_between_steps_is_interpolated() -> None:
    """The curve's rise over the counted steps, divided by them."""
    start = np.arange(10, dtype=np.int64) * 100
    curve = np.array([[0.0, 1.0, 0], [500.0, 2.0, 0], [1000.0, 4.0, 2.9e-7]])
    found = Measured(np.full(10, 100), start, cpu=curve)
    assert found.cpu_ms(0) == pytest.approx(300.0)
    assert found.cpu_ms(5) == pytest.approx(400.0)
    assert found.cpu_ms(10) is None
    assert not found.disturbed
    curve[2, 2] = 3.1e-7  # seconds of 1e-6: more than 0.3 cores
    assert found.disturbed
    assert Measured(np.full(10, 100), start).cpu_ms(0) is None


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    """Refused with the option that cures it."""
    target = Options("train.py", (), False, str(tmp_path / "python"))
    with pytest.raises(UsageError, match="--python"):
        run_trial(target, "", steps=9, gate=None, limit_s=9, log=tmp_path / "log")


def test_engaged_is_when_every_strategy_acts() -> None:
    """The first step that begins after the later of both began."""
    bounds = np.arange(0, 1100, 100, dtype=np.int64)
    steps = Steps.of(bounds[:-1], bounds[1:], "")
    both = [note("prefetch", t_ns=150), note("parallel-update", t_ns=420)]
    again = note("prefetch", t_ns=990)
    assert engaged_at([], steps) == 0
    assert engaged_at(both[:1], steps) == 2
    assert engaged_at([*both, again], steps) == 5
    assert engaged_at([note("prefetch", REFUSED, t_ns=800)], steps) == 0


def test_last_lines(tmp_path: Path) -> None:
    """Those with text; none of a log that is not there."""
    log = tmp_path / "log"
    assert last_lines(log, 3) == []
    log.write_bytes(b"a\n\n\xff\nc\n\n")
    assert last_lines(log, 2) == ["\N{REPLACEMENT CHARACTER}", "c"]


@needs_proc
def test_the_tree_of_a_process() -> None:
    """Itself first, then those it started; gone ones cost nothing."""
    child = subprocess.Popen(["sleep", "600"])
    try:
        tree = tree_of(os.getpid())
        assert tree[0] == os.getpid()
        assert child.pid in tree
        assert memory_mb(tree) > memory_mb([child.pid]) > 0
    finally:
        child.kill()
        child.wait()
    assert tree_of(child.pid) == [child.pid]
    assert memory_mb([child.pid]) == cpu_seconds(child.pid) == 0.0
    usage = Usage(child.pid)
    usage.look()
    assert usage.peak_mb is None
    assert usage.cpu.shape == (0, 3)


@needs_proc
def test_a_forked_child_shares_its_parents_memory() -> None:
    """Pages that nobody has written since the fork count once."""
    code = (
        "import os, time; x = bytearray(b'x') * 80_000_000; pid = os.fork(); "
        "os.write(1, b'ready\\n'); time.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        for _ in range(2):
            assert parent.stdout.readline() == "ready\n"
        tree = tree_of(parent.pid)
        alone, both = memory_mb([parent.pid]), memory_mb(tree)
        for pid in reversed(tree):
            os.kill(pid, 9)
    assert len(tree) == 2
    if "Pss_Anon" in Path("/proc/self/smaps_rollup").read_text():
        assert abs(both - alone) < 30
