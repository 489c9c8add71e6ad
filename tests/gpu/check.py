"""Checks on a real accelerator, by hand: `python tests/gpu/check.py`, some minutes.

Planted loops (`planted.py`): bound by their data, by the device, and by a read of the
loss in each step. What the profile says of busy and idle time and of the wait must be
within five points of what was planted. Prints a line for each and ends with 1 if one
is not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

PLANTED = Path(__file__).with_name("planted.py")
WITHIN = 0.05
STEPS = 600

LOOPS = {
    "data-bound": (30, 10, 0),
    "compute-bound": (10, 30, 0),
    "sync-bound": (20, 20, 1),
}
"""Milliseconds of loading, on the device, and whether each step reads the loss."""


def profiled(folder: Path, loop: tuple[int, int, int]) -> tuple[float, dict]:
    """The device's own milliseconds a step, and the report."""
    out = folder / "report.json"
    command = [sys.executable, "-m", "debottleneck", "profile"]
    command += ["--output", str(folder / "run"), "--format", "json", str(out)]
    command += [str(PLANTED), *map(str, loop), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = (s for s in done.stdout.splitlines() if s.startswith("device "))
    return float(line.split()[1]), json.loads(out.read_text())


def main() -> int:
    """0 where every loop is told as it was planted."""
    if not torch.accelerator.is_available():
        print("there is no accelerator here: nothing was checked")
        return 1
    wrong = 0
    for name, loop in LOOPS.items():
        with tempfile.TemporaryDirectory() as folder:
            device_ms, report = profiled(Path(folder), loop)
        load_ms, _, reads = loop
        step_ms = load_ms + device_ms if reads else max(load_ms, device_ms)
        use = report["device"]
        waits = sum(c["share"] for c in report["causes"] if c["cause"] == "device")
        told = {
            "busy": (use["busy"] + use["follows"], device_ms / step_ms),
            "idle": (sum(use["idle"].values()), 1 - device_ms / step_ms),
        }
        if reads:
            told["wait"] = (waits, device_ms / step_ms)
        for what, (said, planted) in told.items():
            good = abs(said - planted) <= WITHIN
            wrong += not good
            print(f"{name:14} {what:5} {said:6.3f} planted {planted:6.3f} {good}")
        print(f"{name:14} says  {report['verdict']['what']}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
