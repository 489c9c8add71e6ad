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
