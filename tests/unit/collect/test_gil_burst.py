"""The GIL read in quick succession, from a process's own memory."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys

import pytest

from debottleneck.collect import proc
from debottleneck.recording import spool

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux's /proc/PID/mem"
)


class State(ctypes.Structure):
    """The beginning of CPython's GIL state; see `collect.proc`."""

    _fields_ = (
        ("interval", ctypes.c_ulong),
        ("holder", ctypes.c_void_p),
        ("locked", ctypes.c_int),
    )


@pytest.mark.parametrize(("locked", "held"), [(1, spool.BURST_READS), (0, 0), (-1, 0)])
def test_a_gil_that_stays_as_it_is(locked: int, held: int) -> None:
    """Held in every reading or in none, never given up."""
    state = State(locked=locked)
    gil = proc.GilReader(os.getpid(), proc.GilPlace(ctypes.addressof(state), 0))
    try:
        found = gil.burst()
    finally:
        gil.close()
    assert found is not None
    assert found[0] > 0
    assert found[1:] == (held, 0)


def test_each_release_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From held to free, however long it stays free; being taken is no release."""
    words = {1: b"\1\0\0\0", 0: b"\0\0\0\0"}
    read = itertools.cycle(words[bit] for bit in (1, 1, 0, 0, 1, 0))
    monkeypatch.setattr(proc.os, "pread", lambda *where: next(read))
    gil = proc.GilReader(os.getpid(), proc.GilPlace(0, 0))
    try:
        _, held, releases = gil.burst() or (0, 0, 0)
    finally:
        gil.close()
    assert held == spool.BURST_READS // 2
    assert releases == spool.BURST_READS // 3


def test_memory_that_cannot_be_read_says_nothing() -> None:
    """The address is no longer mapped: the process has ended, or another image runs."""
    gil = proc.GilReader(os.getpid(), proc.GilPlace(0, 0))
    try:
        assert gil.burst() is None
    finally:
        gil.close()
