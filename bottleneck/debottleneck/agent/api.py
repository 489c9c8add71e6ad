"""The API for scripts that mark their own loop: `stage` and `step`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import ParamSpec, TypeVar

from debottleneck.agent.marks import enter, leave, mark_step, recording
from debottleneck.agent.sites import site_of
from debottleneck.agent.track import hushed
from debottleneck.recording.spool import STEP_END
from debottleneck.words import NAMED, STEP

P = ParamSpec("P")
T = TypeVar("T")


class stage:
    """Mark a stage by hand: `with stage("load"):` or `@stage("load")`.

    Args:
        name: A word of `debottleneck.words.NAMED`, such as "load" or "forward".

    Raises:
        ValueError: The name is not one of them.
    """

    __slots__ = ("_name", "_tokens")

    def __init__(self, name: str) -> None:
        if name not in NAMED:
            names = ", ".join(NAMED)
            raise ValueError(f"unknown stage {name!r}; use one of: {names}")
        self._name = name
        self._tokens: list[int] = []

    def __enter__(self) -> stage:
        if hushed():
            self._tokens.append(-1)
        elif recording():
            caller = sys._getframe(1)
            where = (caller.f_code.co_filename, caller.f_lineno)
            site = site_of(self._name, caller.f_code.co_name, *where, "api")
            self._tokens.append(enter(site))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tokens:
            leave(self._tokens.pop())

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function, generator or coroutine; it stays of its kind."""
        from debottleneck.agent.wrap import wrap

        return wrap(function, self._name, kind="api")


def step(iterable: Iterable[T]) -> Iterator[T]:
    """Iterate, marking each iteration as a step and the wait for it as `load`.

    Args:
        iterable: What the training loop runs over.

    Yields:
        The iterable's own items, unchanged.
    """
    if not recording():
        yield from iterable
        return
    frame = sys._getframe(1)
    where = (frame.f_code.co_filename, frame.f_lineno)
    steps = site_of(STEP, "step", *where, "api")
    loads = site_of("load", "step", *where, "api")
    iterator = iter(iterable)
    while True:
        mark_step(steps)
        token = enter(loads)
        try:
            item = next(iterator)
        except StopIteration:
            break
        finally:
            leave(token)
        yield item
    mark_step(steps, STEP_END)
