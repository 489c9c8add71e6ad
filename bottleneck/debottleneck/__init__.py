"""debottleneck: what each stage of a training loop waits for, and what to do.

The API for scripts that mark their own stages is standard library only, and
nearly free when nobody records::

    from debottleneck import stage, step

    for batch in step(loader):          # each iteration is a step
        with stage("forward"):
            ...

    @stage("load")
    def read_next(): ...

The strategies are a library too, see `debottleneck.strategies`::

    from debottleneck import prefetch, parallel_forward, parallel_update

`load_recording(path)` opens what `bottleneck profile` wrote; it needs pandas,
which is imported only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from debottleneck.agent.api import stage, step
from debottleneck.version import __version__

if TYPE_CHECKING:
    import os

    from debottleneck.report.notebook import Shown
    from debottleneck.strategies import (
        BranchParallel,
        parallel_forward,
        parallel_update,
        prefetch,
    )

__all__ = [
    "BranchParallel",
    "__version__",
    "load_recording",
    "parallel_forward",
    "parallel_update",
    "prefetch",
    "stage",
    "step",
]


def __getattr__(name: str) -> object:
    """The strategies, loaded when they are asked for."""
    if name in __all__:
        from debottleneck import strategies

        return getattr(strategies, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_recording(path: str | os.PathLike[str]) -> Shown:
    """Open a recording's folder, finished or cut off.

    In a notebook the recording shows its verdict and where the time goes, and
    `.figure("timeline")` is a plotly figure.

    Args:
        path: A folder that `bottleneck profile` wrote.

    Returns:
        The frozen `recording.Recording`; `facts.partial` says whether it was cut off.

    Raises:
        debottleneck.errors.RecordingError: Not a recording, a newer schema, or a
            broken table.
    """
    from pathlib import Path

    from debottleneck.recording.assemble import load
    from debottleneck.report.notebook import Shown

    return Shown.like(load(Path(path)))
