"""Our own work in the script's process: where it fails, the script runs without it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from debottleneck.agent import marks
from debottleneck.agent.handlers import of_a_handler

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 20
"""How often something is tried that Python refuses for the moment."""

Hook = Callable[[ModuleType], None]
"""Is given a module that has just been imported."""


@contextlib.contextmanager
def aside(config: Mapping[str, Any]) -> Iterator[None]:
    """Say what fails within, and go on.

    Args:
        config: The run's. A trial is not to touch files that nobody keeps: there the
            error is raised.
    """
    try:
        yield
    except Exception as error:
        if config.get("guard") or of_a_handler(error):
            raise
        marks.finish()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        complain(f"bottleneck: the script runs without us: {text}\n")


def each_aside(
    hooks: Mapping[str, list[Hook]], config: Mapping[str, Any]
) -> dict[str, list[Hook]]:
    """Hooks that make no import fail.

    Args:
        hooks: Module name -> what to do once it has been executed.
        config: As for `aside`.
    """
    return {name: [aside(config)(hook) for hook in hooks[name]] for name in hooks}


def again(
    refusal: type[Exception], call: Callable[P, T], *args: P.args, **how: P.kwargs
) -> T:
    """What Python refuses while another thread is in the midst of it."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(refusal):
            return call(*args, **how)
    return call(*args, **how)


def complain(text: str) -> None:
    """A line on standard error, if anyone is there to read it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
