"""Print how a recording's size, the sampler's cost and the report grow.

`python tests/benchmarks/scale.py`: runs with more and more threads, then recordings of
more and more steps, a row each: kB of the recording, the sampler's share of one core,
samples a second, late ticks, seconds and MiB of `bottleneck report --format html`.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from debottleneck.analysis.analyse import analyse
from debottleneck.errors import BottleneckError
from debottleneck.recording import assemble
from debottleneck.recording.recording import Recording

SCRIPT = Path(__file__).parent / "nappers.py"
THREADS = (1, 8, 64, 256)
STEPS = (100, 1_000, 10_000, 100_000)
SECONDS = 6.0
TIMES = ("t_ns", "start_ns", "end_ns")
HEADS = ("threads", "steps", "run s", "kB", "sampler", "Hz", "late", "page s", "MiB")


@dataclass(frozen=True)
class Size:
    """One recording and what came of it.

    Attributes:
        threads: Threads of the script.
        steps: Quiet steps in the recording.
        seconds: Time that it covers.
        recording_bytes: Of all its files.
        report_s: Seconds until its page was written, in a process of its own.
        report_peak_mib: That process's peak memory.
        sampler_cpu_share: Of one core; None where nothing was sampled live.
        achieved_hz: That were taken.
        late_ticks: Samples that began later than planned.
    """

    threads: int
    steps: int
    seconds: float
    recording_bytes: int
    report_s: float
    report_peak_mib: float
    sampler_cpu_share: float | None = None
    achieved_hz: float | None = None
    late_ticks: int | None = None


def main() -> None:
    """A row for each size, as it is measured.

    The long recordings repeat a measured one, shifted in time, as a run of hours
    cannot be waited for; their sampler columns are therefore empty.
    """
    print(*HEADS, sep="\t")
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        for count in THREADS:
            show(_with_threads(count, Path(folder, f"t{count}")))
        base = assemble.load(Path(folder, f"t{THREADS[0]}"))
        for count in STEPS:
            show(_with_steps(base, count, Path(folder, f"s{count}")))


def show(size: Size) -> None:
    """Print one row."""
    share, rate = size.sampler_cpu_share, size.achieved_hz
    print(
        size.threads,
        size.steps,
        f"{size.seconds:.0f}",
        f"{size.recording_bytes / 1e3:.0f}",
        "-" if share is None else f"{100 * share:.1f} %",
        "-" if rate is None else f"{rate:.0f}",
        "-" if size.late_ticks is None else size.late_ticks,
        f"{size.report_s:.1f}",
        f"{size.report_peak_mib:.0f}",
        sep="\t",
        flush=True,
    )


def _with_threads(count: int, folder: Path) -> Size:
    command = [sys.executable, "-m", "debottleneck", "profile", "--no-stacks"]
    command += ["--no-functions", "--output", str(folder)]
    command += [str(SCRIPT), str(count), str(SECONDS)]
    nothing = subprocess.DEVNULL
    subprocess.run(command, check=True, stdout=nothing, stderr=nothing)
    recording = assemble.load(folder)
    sampler = recording.facts.rates.get("sampler", {})
    report_s, peak = report_cost(folder)
    return Size(
        threads=count,
        steps=analyse(recording).loop.measured,
        seconds=SECONDS,
        recording_bytes=sum(file.stat().st_size for file in folder.iterdir()),
        report_s=report_s,
        report_peak_mib=peak,
        sampler_cpu_share=sampler.get("cpu_share"),
        achieved_hz=sampler.get("achieved_hz"),
        late_ticks=sampler.get("late_ticks"),
    )


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


if __name__ == "__main__":
    main()
