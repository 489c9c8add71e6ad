"""Processes are forked while all other threads stand still."""

from __future__ import annotations

import os
import threading
import time

import pytest

from debottleneck.errors import StrategyError
from debottleneck.strategies import standstill
from debottleneck.strategies.process import Items


@pytest.mark.parametrize("pauses", [False, True])
def test_a_fork_is_made_while_all_others_wait(
    monkeypatch: pytest.MonkeyPatch, pauses: bool
) -> None:
    """For another thread, or between two items; never while one computes."""
    computes, seen = [False], []
    monkeypatch.setattr(os, "fork", computes.copy)  # in C: at once, as a fork

    def forks() -> None:
        for _ in range(100):
            seen.append(standstill.fork())

    thread = threading.Thread(target=forks)
    thread.start()
    while thread.is_alive():
        standstill.pause() if pauses else threading.Event().wait(0.0005)
        computes[0] = True
        time.sleep(0.001)  # gives the GIL up, as NumPy does
        computes[0] = False
    assert seen == [[False]] * 100


def test_no_process_beside_a_thread_that_always_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is refused after a while; those that pause go on."""
    monkeypatch.setattr(standstill, "PATIENCE_S", 0.05)
    over = threading.Event()

    def computes() -> None:
        while not over.is_set():
            time.sleep(0.001)

    thread = threading.Thread(target=computes)
    thread.start()
    with pytest.raises(StrategyError, match="other threads compute"):
        standstill.fork()
    standstill.pause()
    over.set()
    thread.join()


def test_threads_that_start_processes_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them is in the others' way."""
    monkeypatch.setattr(standstill, "PATIENCE_S", 5.0)
    together, got = threading.Barrier(3), []

    def makes() -> None:
        together.wait()
        got.append([*Items(lambda: range(3), depth=1)])

    threads = [threading.Thread(target=makes) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [[0, 1, 2]] * 3
