"""Print what a ten-minute run costs: `python tests/benchmarks/report_speed.py`.

A made-up recording of 100,000 steps, 8 threads at 200 samples a second. Bounds: 30 MB
on disk, page under 6 MB, analysed and rendered in 10 s and 1 GB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from debottleneck.recording import STATES, Facts, Recording, empty, typed

STEPS, STEP_NS, THREADS, TICK_NS = 100_000, 6_000_000, 8, 5_000_000
STAGES = ("load", "forward", "loss", "backward", "update")
PID = 1000


def made(seed: int = 0) -> Recording:
    """The recording: marks of one trainer, waits of every thread."""
    rng = np.random.default_rng(seed)
    end = STEPS * STEP_NS
    facts = Facts(("train.py",), "train.py", "/home/user", "", 0, end, PID, PID)
    names = pd.DataFrame(
        {
            "pid": PID,
            "tid": np.arange(PID, PID + THREADS),
            "ident": np.arange(THREADS),
            "name": ["MainThread"] + [f"loader-{i}" for i in range(1, THREADS)],
            "python": True,
        }
    )
    tables = {"sites": sites(), "threads": typed("threads", names)}
    return Recording.of(facts, {**tables, "marks": marks(rng), "waits": waits(rng)})


def sites() -> pd.DataFrame:
    """One function a stage."""
    rows = pd.DataFrame(
        {"stage": STAGES, "name": STAGES, "file": "/home/user/train.py"}
    )
    rows = rows.assign(pid=PID, site=range(len(STAGES)), line=1, kind="function")
    return typed("sites", rows)


def marks(rng: np.random.Generator) -> pd.DataFrame:
    """Each step enters and leaves every stage once, with jitter."""
    parts = rng.uniform(0.5, 1.5, (STEPS, 2 * len(STAGES)))
    lengths = parts / parts.sum(axis=1, keepdims=True) * STEP_NS
    times = np.cumsum(lengths.ravel()).astype(np.int64)
    site = np.tile(np.repeat(np.arange(len(STAGES)), 2), STEPS)
    edge = np.tile([0, 1], STEPS * len(STAGES))
    rows = {"t_ns": times, "cpu_ns": times * 3 // 4, "site": site, "edge": edge}
    return typed("marks", pd.DataFrame({"pid": PID, "tid": PID, **rows, "calls": edge}))


def waits(rng: np.random.Generator) -> pd.DataFrame:
    """Every thread sampled at every tick, running or waiting at random."""
    parts = [empty("waits")][:0]
    start = np.arange(0, STEPS * STEP_NS, TICK_NS)
    for tid in range(PID, PID + THREADS):
        state = rng.choice(len(STATES), len(start), p=[0.5, *[0.5 / 7] * 7])
        ran = np.where(state == 0, rng.integers(3_000_000, 5_000_000, len(start)), 0)
        rows = {"start_ns": start, "end_ns": start + TICK_NS, "state": state}
        more = {"detail": 0, "holder": PID, "oncpu_ns": ran}
        delay = rng.integers(0, 500_000, len(start)) * (state == 0)
        whole = {"pid": PID, "tid": tid, **rows, **more, "delay_ns": delay, "slices": 0}
        parts.append(pd.DataFrame(whole))
    return typed("waits", pd.concat(parts, ignore_index=True))


def main() -> None:
    """Save it, report it in a process of its own, print each cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "recording"
        made().save(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        command = [sys.executable, "-m", "debottleneck", "report", str(folder)]
        before = time.monotonic()
        subprocess.run([*command, "--format", "html"], check=True)
        seconds = time.monotonic() - before
        page = (folder / "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"recording {size / 1e6:.1f} MB, page {page / 1e6:.1f} MB")
    print(f"analysed and rendered in {seconds:.1f} s, peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
