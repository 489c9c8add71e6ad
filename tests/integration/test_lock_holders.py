"""Who holds a lock, read from another process: ten kinds of lock, no wrong thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from running import SOURCES

from debottleneck.collect.holders import Holders, Layout

pytestmark = [
    pytest.mark.each_python,
    pytest.mark.skipif(
        not (3, 11) <= sys.version_info[:2] <= (3, 13), reason="locks differ"
    ),
    pytest.mark.skipif(
        not os.access("/proc/self/syscall", os.R_OK), reason="needs /proc/PID/syscall"
    ),
]

HELD = ("lock", "rlock", "condition", "guard", "queue", "handler", "nested")
HELD += ("tried", "semaphore")
"""Kinds whose holder can be told."""

FREE = {"event": "Event", "barrier": "Barrier", "bare": "lock"}
"""Those that have none, or do not show it, and what they are called."""

FUTEX = {"x86_64": "202", "aarch64": "98"}[os.uname().machine]
LOOKS = 40

SCRIPT = Path(__file__).parent / "scripts" / "locks.py"


@pytest.mark.parametrize("kind", [*HELD, *FREE])
def test_the_holder_is_the_true_one(kind: str, environment: dict[str, str]) -> None:
    """Before and after a look the same thread held it: then that one is named."""
    command = [sys.executable, str(SCRIPT), kind]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": str(SOURCES)},
    ) as script:
        assert script.stdout is not None
        told = json.loads(script.stdout.readline())
        memory = os.open(f"/proc/{script.pid}/mem", os.O_RDONLY)
        try:
            counts = looks(script.pid, memory, told)
        finally:
            os.close(memory)
            script.kill()
    assert counts["wrong"] == 0
    if kind in HELD:
        assert counts["right"] >= 0.9 * (counts["right"] + counts["missed"])
    else:
        assert counts["right"] == 0
        assert counts[FREE[kind]] == counts["missed"] > 0


def looks(pid: int, memory: int, told: dict[str, object]) -> Counter[str]:
    """What was said of waiting threads, where the truth did not change meanwhile."""

    def read(address: int, size: int) -> bytes:
        try:
            return os.pread(memory, size, address)
        except (OSError, OverflowError):
            return b""

    holders = Holders(read, Layout(**told["layout"]))  # type: ignore[arg-type]
    counts: Counter[str] = Counter()
    until = time.monotonic() + 60
    while sum(counts.values()) < 2 * LOOKS and time.monotonic() < until:
        for tid in told["tids"]:  # type: ignore[attr-defined]
            call = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()
            truth = read(told["truth"], 8)  # type: ignore[arg-type]
            if call[0] != FUTEX:
                continue
            holders.look_anew()
            held = holders.holder(tid, int(call[1], 16))
            owner = int.from_bytes(truth, "little")
            if held is None or not owner or read(told["truth"], 8) != truth:  # type: ignore[arg-type]
                continue
            answer = "right" if held.tid == owner else "wrong" if held.tid else "missed"
            counts[answer] += 1
            counts[held.kind] += 1
        time.sleep(0.002)
    return counts
