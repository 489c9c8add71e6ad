"""Small loops with a dialled-in truth, which tests and benchmarks run.

Each is a plain script that imports nothing of debottleneck. Its last line is
"truth " and JSON: `stages` has the trainer's exact wall, CPU, run-queue and waited
seconds, beside what the loop planted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from debottleneck.selfcheck.measure import SCRIPT

FOLDER = Path(__file__).parent / "planted"


@dataclass(frozen=True)
class Planted:
    """One planted loop.

    Attributes:
        path: The script.
        stage: The stage that holds the loop up, "" where nothing does.
        cause: That stage's main cause in the trainer, "" where nothing is planted.
        arguments: Options for a run of a few seconds.
        needs: Modules it imports beside NumPy.
        thread: Name of the thread that is to blame, a prefix; "" for the trainer.
        thread_cause: That thread's own main cause.
    """

    path: Path
    stage: str
    cause: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    thread: str = ""
    thread_cause: str = ""


def _planted(
    script: str,
    stage: str,
    cause: str,
    arguments: str,
    needs: tuple[str, ...] = (),
    thread: tuple[str, str] = ("", ""),
) -> Planted:
    path = FOLDER / f"{script}.py"
    return Planted(path, stage, cause, tuple(arguments.split()), needs, *thread)


_TORCH = ("torch", "PIL")

PLANTED: Mapping[str, Planted] = MappingProxyType(
    {
        "article_load": _planted("article_load", "load", "sleep", "--steps 30"),
        "article_forward": _planted(
            "article_forward", "forward", "sleep", "--steps 30 --delay-scale 0.4"
        ),
        "article_update": _planted(
            "article_update", "update", "sleep", "--steps 30 --delay-scale 1"
        ),
        "socket_load": _planted("socket_load", "load", "network", "--steps 120"),
        "fifo_load": _planted("fifo_load", "load", "ipc", "--steps 120"),
        "disk_load": _planted("disk_load", "load", "disk", "--steps 150"),
        "gil_augment": _planted(
            "gil_augment",
            "forward",
            "gil",
            "--steps 40",
            thread=("augment", "python"),
        ),
        "slow_queue_sleep": _planted(
            "slow_queue",
            "load",
            "lock",
            "--cause sleep --steps 120",
            thread=("producer", "sleep"),
        ),
        "slow_queue_python": _planted(
            "slow_queue",
            "load",
            "lock",
            "--cause python --steps 50",
            thread=("producer", "python"),
        ),
        "slow_queue_network": _planted(
            "slow_queue",
            "load",
            "lock",
            "--cause network --steps 120",
            thread=("producer", "network"),
        ),
        "matmul": _planted("matmul", "forward", "native", "--steps 60"),
        "blas_threads": _planted(
            "blas_threads",
            "forward",
            "runqueue",
            "--steps 60",
            thread=("metrics", "native"),
        ),
        "small_adam": _planted("small_adam", "update", "python", "--steps 400"),
        "torch_loader": _planted(
            "torch_loader", "load", "native", "--workers 0 --steps 60", _TORCH
        ),
        "torch_workers": _planted(
            "torch_loader", "load", "ipc", "--workers 2 --steps 60", _TORCH
        ),
        "balanced": _planted("balanced", "", "", "--steps 300"),
        "numpy_5ms": _planted("numpy_5ms", "", "", "--seconds 3"),
        "dial": Planted(
            SCRIPT, "load", "sleep", ("--steps", "100", "--cause", "sleep")
        ),
        "plain": _planted("plain", "", "", "--steps 30"),
    }
)
"""Name of each loop -> the loop; the two variants of a script have a row each."""
