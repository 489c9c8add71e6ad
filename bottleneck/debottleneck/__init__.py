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

`with profile() as run:` profiles what runs within, in this process; in a notebook
`%load_ext debottleneck` brings `%%bottleneck` for a cell. `load_recording(path)`
opens what they and `bottleneck profile` wrote. They need pandas, which is imported
only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from debottleneck.agent.api import stage, step
from debottleneck.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from debottleneck.commands.live import Profile
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
    "profile",
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


def profile(
    output: str | os.PathLike[str] | None = None, *, include: Iterable[str] = ()
) -> Profile:
    """Profile what runs in a `with` block of this process.

    Loops of functions that are called there are marked as those of a script, and what
    steps are is found likewise. In a notebook the result shows itself at the end;
    elsewhere it is printed to standard error.

    Args:
        output: The recording's folder; by default a new one in `bottleneck-runs/`.
        include: Installed code that counts as yours, as after `--include`.

    Returns:
        What `with` gives: its `recording` is what `load_recording` would open.

    Raises:
        debottleneck.errors.UsageError: From `with`: one runs already, or the folder
            cannot be made.
    """
    from pathlib import Path

    from debottleneck.commands.live import Profile

    return Profile(Path(output) if output is not None else None, tuple(include))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext debottleneck` calls: adds `%%bottleneck`."""
    from debottleneck.commands.live import add_magic

    add_magic(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What `%unload_ext debottleneck` calls."""
    from debottleneck.commands.live import remove_magic

    remove_magic(shell)
