"""What `profile --causal` says of rows, against loops in which they are really faster.

    python tests/benchmarks/virtual_speedup.py [SECONDS [LOOP]]

Each loop is profiled for so many seconds (180 if not said), then run with each row
really faster by some parts in every other block of steps. Printed are the parts of the
step that went, as said and as measured, and the error in percent points. Rows mostly
wait, so that it can be told on a machine that does other things, too.
"""

from __future__ import annotations

import hashlib
import json
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

Row = tuple[float, int]
"""Milliseconds that it waits, and hashes of 0.1 ms that it computes."""

LOOPS: dict[str, dict[str, Row]] = {
    "one thread, waits": {"load": (16, 0), "forward": (10, 0), "update": (6, 0)},
    "one thread, computes": {"load": (2, 40), "forward": (0, 80), "update": (0, 40)},
    "queue, loader is the limit": {
        "load": (25, 0), "forward": (9, 0), "update": (4, 0),
    },
    "queue, trainer is the limit": {
        "load": (13, 0), "forward": (17, 0), "update": (8, 0),
    },
    "queue, balanced": {"load": (19, 0), "forward": (11, 0), "update": (8, 0)},
    "pool": {"load": (8, 0), "forward": (17, 0), "update": (4, 0)},
}  # fmt: skip
PARTS = (0.25, 0.5, 0.75)
BLOCK, BLOCKS, SETTLED = 48, 13, 16
"""Steps of a block, blocks of a run, every other of them faster, and steps after which
threads have fallen into step."""

MEASURED = "gained:"


def run(loop: str, faster: str, part: float, steps: int) -> float:
    """The loop itself, every other block faster: the part of a step that then goes."""

    def row_at(row: str, index: int) -> Row:
        waits, hashes = LOOPS[loop][row]
        if row != faster or index // BLOCK % 2 == 0:
            return waits, hashes
        return waits * (1 - part), round(hashes * (1 - part))

    blob, weights = bytes(200_000), np.ones(1000)
    pool = ThreadPoolExecutor(2) if loop == "pool" else None

    def spend(row: str, index: int) -> None:
        waits, hashes = row_at(row, index)
        if waits:
            time.sleep(waits / 1e3)
        for _ in range(hashes):
            hashlib.sha256(blob).digest()

    def load(index: int) -> np.ndarray:
        spend("load", index)
        return np.full(1000, float(index))

    def forward(batch: np.ndarray) -> np.ndarray:
        spend("forward", int(batch[0]))
        return batch * 1e-6

    def update(gradient: np.ndarray, index: int) -> None:
        nonlocal weights
        weights -= gradient
        spend("update", index)

    def batches() -> Iterator[np.ndarray]:
        if not loop.startswith("queue"):
            yield from map(load, range(steps))
            return
        ready: queue.Queue[np.ndarray] = queue.Queue(2)

        def loader() -> None:
            for index in range(steps):
                ready.put(load(index))

        threading.Thread(target=loader, daemon=True).start()
        for _ in range(steps):
            yield ready.get()

    times = [time.perf_counter()]
    for index, batch in enumerate(batches()):
        if pool is None:
            gradient = forward(batch)
        else:
            gradient = sum(pool.map(forward, (batch, batch)))
        update(gradient, index)
        times.append(time.perf_counter())
    lengths = np.diff(times)[: steps // BLOCK * BLOCK].reshape(-1, BLOCK)
    means = lengths[:, SETTLED:].mean(axis=1)
    return float(np.median(1 - 2 * means[1:-1:2] / (means[:-2:2] + means[2::2])))


def really(loop: str, faster: str, part: float) -> float:
    """What is gained in a process of its own."""
    steps = str(BLOCK * BLOCKS)
    command = [sys.executable, __file__, "run", loop, faster, str(part), steps]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.rpartition(MEASURED)[2])


def said(loop: str, seconds: float) -> dict[str, dict[int, tuple[float, ...]]]:
    """Row -> percent -> gain and its bounds, as the profile says."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "run.json"
        command = [sys.executable, "-m", "debottleneck", "profile", "--causal"]
        command += ["--seconds", str(seconds), "--stop", "--no-stacks"]
        command += ["--output", f"{folder}/run", "--format", "json", str(document)]
        command += [__file__, "run", loop, "", "0", "1000000"]
        subprocess.run(command, capture_output=True, check=False)
        rows = json.loads(document.read_text())["faster"]["rows"]
    return {
        row["row"]: {
            point["percent"]: (point["gain"], point["low"], point["high"])
            for point in row["points"]
        }
        for row in rows
    }


def compare(loop: str, seconds: float) -> list[tuple[float, bool]]:
    """Print one loop; errors in points, and whether the truth is in the interval."""
    print(f"\n{loop}", flush=True)
    predicted = said(loop, seconds)
    judged = []
    for row, part in [(row, part) for row in LOOPS[loop] for part in PARTS]:
        truth = really(loop, row, part)
        point = predicted.get(row, {}).get(round(100 * part))
        if point is None:
            print(f"  {row:8} {part:4.0%} less: {truth:6.1%} measured, not said")
            continue
        gain, low, high = point
        judged.append((100 * (gain - truth), low <= truth <= high))
        print(
            f"  {row:8} {part:4.0%} less: {gain:6.1%} said ({low:.1%} to {high:.1%}), "
            f"{truth:6.1%} measured, {judged[-1][0]:+5.1f} points",
            flush=True,
        )
    return judged


def main() -> None:
    """All loops, or one run of one of them."""
    if sys.argv[1:2] == ["run"]:
        loop, faster, part, steps = sys.argv[2:]
        print(MEASURED, run(loop, faster, float(part), int(steps)))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    loops = sys.argv[2:] or LOOPS
    judged = [each for loop in loops for each in compare(loop, seconds)]
    errors = [abs(points) for points, _ in judged]
    held = sum(inside for _, inside in judged)
    print(
        f"\n{len(judged)} points: error median {statistics.median(errors):.1f}, worst "
        f"{max(errors):.1f} percent points; {held} in their 95 % interval"
    )


if __name__ == "__main__":
    main()
