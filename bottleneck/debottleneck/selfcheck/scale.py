"""How a recording's size, the sampler's cost and the report grow."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from debottleneck.collect import assemble
from debottleneck.errors import BottleneckError
from debottleneck.recording import Recording
from debottleneck.selfcheck.measure import WAITS_ONLY, Ran, profiled
from debottleneck.selfcheck.result import Growth, Size

THREADS = (1, 8, 64, 256)
STEPS = (100, 1_000, 10_000, 100_000)
SECONDS = 6.0
TIMES = ("t_ns", "start_ns", "end_ns")


def run(python: str, say: Callable[[str], None]) -> Growth:
    """Runs with more and more threads, then recordings of more and more steps.

    The long recordings repeat a measured one, shifted in time, as a run of hours
    cannot be waited for; their sampler columns are therefore empty.
    """
    threads, steps = [], []
    with tempfile.TemporaryDirectory(prefix="selfcheck-") as folder:
        for count in THREADS:
            say(f"{count} threads for {SECONDS:g} s")
            threads.append(_with_threads(python, count, Path(folder, f"t{count}")))
        base = _base(python, Path(folder, "base"))
        for count in STEPS:
            say(f"{count} steps")
            steps.append(_with_steps(base, count, Path(folder, f"s{count}")))
    return Growth(tuple(threads), tuple(steps))


def _with_threads(python: str, count: int, place: Path) -> Size:
    place.mkdir()
    options = ("--cause", "sleep", "--seconds", str(SECONDS))
    nappers = ("--nappers", str(count - 1))
    ran = profiled(python, (*options, *nappers), WAITS_ONLY, place)
    return _sized(place / "run", count, ran)


def _sized(folder: Path, threads: int, ran: Ran) -> Size:
    if ran.analysis is None:
        raise BottleneckError(str(ran.told["unavailable"]))
    sampler = ran.analysis.recording.facts.rates.get("sampler", {})
    report_s, peak = report_cost(folder)
    return Size(
        threads=threads,
        steps=ran.analysis.loop.measured,
        seconds=SECONDS,
        recording_bytes=ran.bytes,
        report_s=report_s,
        report_peak_mib=peak,
        sampler_cpu_share=sampler.get("cpu_share"),
        asked_hz=sampler.get("asked_hz"),
        achieved_hz=sampler.get("achieved_hz"),
        late_ticks=sampler.get("late_ticks"),
    )


def _base(python: str, place: Path) -> Recording:
    """A measured run of a few hundred steps."""
    place.mkdir()
    ran = profiled(python, ("--cause", "sleep", "--steps", "150"), WAITS_ONLY, place)
    if ran.analysis is None:
        raise BottleneckError(str(ran.told["unavailable"]))
    return assemble.load(place / "run")


def _with_steps(base: Recording, count: int, folder: Path) -> Size:
    repeated, present = _repeat(base, count)
    repeated.save(folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    report_s, peak = report_cost(folder)
    seconds = (repeated.facts.end_ns - repeated.facts.start_ns) / 1e9
    return Size(
        threads=present,
        steps=count,
        seconds=seconds,
        recording_bytes=size,
        report_s=report_s,
        report_peak_mib=peak,
    )


def _repeat(base: Recording, count: int) -> tuple[Recording, int]:
    """The first hundred steps of a recording, again and again, and its threads."""
    site = base.sites.loc[base.sites["stage"] == "load", "site"].iloc[0]
    entered = base.marks[(base.marks["site"] == site) & (base.marks["edge"] == 0)]
    starts = np.sort(entered["t_ns"].to_numpy(np.int64))
    begin, end = int(starts[10]), int(starts[110])
    times = max(count // 100, 1)
    tables = {
        "sites": base.sites,
        "threads": base.threads,
        "details": base.details,
        "marks": _tiled(base.marks, "t_ns", begin, end, times),
        "waits": _tiled(base.waits, "end_ns", begin, end, times),
        "handovers": _tiled(base.handovers, "t_ns", begin, end, times),
    }
    length = (end - begin) * times
    facts = dataclasses.replace(base.facts, start_ns=begin, end_ns=begin + length)
    return Recording.of(facts, tables), len(base.threads)


def _tiled(
    table: pd.DataFrame, by: str, begin: int, end: int, times: int
) -> pd.DataFrame:
    part = table[(table[by] >= begin) & (table[by] < end)]
    whole = part.iloc[np.tile(np.arange(len(part)), times)].reset_index(drop=True)
    shift = np.repeat(np.arange(times, dtype=np.int64), len(part)) * (end - begin)
    for column in TIMES:
        if column in whole:
            whole[column] = whole[column].to_numpy(np.int64) + shift
    if "cpu_ns" in whole:
        whole["cpu_ns"] = whole["cpu_ns"].to_numpy(np.int64) + shift
    return whole


def report_cost(folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a process that makes the page.

    Raises:
        BottleneckError: It failed.
    """
    command = [sys.executable, "-m", "debottleneck", "report", str(folder)]
    command += ["--format", "html"]
    begun = time.monotonic()
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=nothing, stderr=nothing)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BottleneckError(
            f"the report of {folder} failed (exit code {process.returncode})",
            f"try: {' '.join(command)}",
        )
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return time.monotonic() - begun, usage.ru_maxrss / unit
