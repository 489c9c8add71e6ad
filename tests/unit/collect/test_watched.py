"""A process under the wait sampler's observation, from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from debottleneck.collect.watched import Details, Watched
from debottleneck.recording import spool

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/schedstat"), reason="needs /proc with schedstat"
)


def test_a_script_that_has_ended_waits_for_nothing(tmp_path: Path) -> None:
    """Between its end and our noticing it, a process is there but gets no rows."""
    details = Details()
    out, after = bytearray(), bytearray()
    code = "import time; time.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        watched = Watched(process.pid, None, details)
        while not ended(process.pid):
            watched.tick(time.monotonic_ns(), out)
            time.sleep(0.005)
        told = time.monotonic_ns()
        for _ in range(5):
            watched.tick(time.monotonic_ns(), after)
            time.sleep(0.005)
        assert watched.threads == {}
        watched.close(after)
    assert "sleep" in {spool.STATES[row[7]] for row in spool.WAIT.iter_unpack(out)}
    assert all(row[3] <= told for row in spool.WAIT.iter_unpack(after))


def ended(pid: int) -> bool:
    """Whether the child has ended; it is not reaped."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, options) is not None


def test_a_thread_that_sleeps_on_is_looked_at_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of its sleep is written down, but for the time since the last look."""
    out, looks, start = bytearray(), [], time.monotonic_ns()
    with subprocess.Popen(["sleep", "100"]) as process:
        while not asleep(process.pid):
            time.sleep(0.001)
        watched = Watched(process.pid, None, Details())
        read = os.pread
        monkeypatch.setattr(os, "pread", lambda *a: looks.append(now) or read(*a))
        for now in range(start, start + 10_000_000_000, 5_000_000):
            watched.tick(now, out)
        watched.close(out)
        process.kill()
    rows = [*spool.WAIT.iter_unpack(out)]
    assert len(looks) < 400  # of 2,000 ticks
    assert {spool.STATES[row[7]] for row in rows} == {"sleep"}
    assert sum(row[3] - row[2] for row in rows) > 9_800_000_000


def asleep(pid: int) -> bool:
    """Whether the process waits."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] == "S"
