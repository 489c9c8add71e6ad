"""Parallel update for an unmodified script's torch optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from debottleneck.agent.marks import enter, leave, site_of
from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.automatic.notes import ENGAGED, REFUSED, SUMMARY, Notes
from debottleneck.strategies.blas import cores
from debottleneck.strategies.spec import UPDATE, Strategy
from debottleneck.strategies.torch_update import Parts, Update, refuse

Step = Callable[..., Any]


class Steps:
    """Patches where optimizer classes wrap their own step, within hooks and marks.

    Args:
        strategy: The settings of `parallel-update`.
        notes: Where it says what it does.
    """

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._workers = strategy.number("workers", cores())
        self._notes = notes
        self._known: dict[int, tuple[Any, Parts | None]] = {}
        self._made: dict[Step, Step] = {}
        self._optimizer: Any = None
        self._plain_hook: Any = None
        self._steps = 0

    def install(self, torch: ModuleType) -> None:
        """Begin to act on optimizers that are made from now on."""
        self._optimizer = torch.optim.Optimizer
        self._plain_hook = plain = self._optimizer.profile_hook_step

        @wraps(plain)
        def profile_hook_step(function: Step) -> Step:
            home = inspect.unwrap(function).__module__
            ours = home.startswith(__name__.partition(".")[0])
            hooked: Step = plain(function if ours else self._divided(function))
            return hooked

        self._optimizer.profile_hook_step = staticmethod(profile_hook_step)

    def close(self) -> None:
        """Let the classes' own steps be called again, and say what it came to."""
        if self._optimizer is not None:
            self._optimizer.profile_hook_step = staticmethod(self._plain_hook)
            for kind in _kinds(self._optimizer):
                self._restore(kind)
        if self._steps:
            text = f"{self._steps} optimizer steps were made in {self._workers} threads"
            self._notes.say(UPDATE, SUMMARY, text, steps=self._steps)
        self._known.clear()

    def _restore(self, kind: Any) -> None:
        step = vars(kind).get("step")
        while step is not None and step not in self._made:
            step = getattr(step, "__wrapped__", None)
        if step is not None:
            kind.step = self._plain_hook(self._made[step])
            kind.step.hooked = True

    def _divided(self, function: Step) -> Step:
        @wraps(function)
        def step(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            parts = None if pools.is_worker() else self._parts(optimizer)
            closure = kwargs.get("closure", args[0] if args else None)
            others = len(args) > 1 or set(kwargs) - {"closure"}
            if parts is None or others:
                return function(optimizer, *args, **kwargs)
            self._steps += 1
            return parts.step(optimizer, closure)

        made = as_frame_of_ours(step)
        self._made[made] = function
        return made

    def _parts(self, optimizer: Any) -> Parts | None:
        """How to divide its steps; None when they are left alone, as the first is."""
        known = self._known.get(id(optimizer))
        if known is not None:
            return known[1]
        parts = None
        try:
            if self._workers < 2:
                raise StrategyError("workers=1 leaves the updates in sequence")
            refuse(optimizer)
            parts = Parts(self._workers, _marked(type(optimizer).__name__))
            count = sum(len(group["params"]) for group in optimizer.param_groups)
            text = (
                f"{type(optimizer).__name__} updates {count} parameters in "
                f"{self._workers} threads"
            )
            self._notes.say(UPDATE, ENGAGED, text, workers=self._workers)
        except StrategyError as error:
            self._notes.say(UPDATE, REFUSED, str(error))
        self._known[id(optimizer)] = optimizer, parts
        return None


def _marked(kind: str) -> Callable[[Update], Update]:
    """Marks what a thread updates, as the agent marks the trainer's step."""
    site = site_of("update", f"torch.optim.{kind}.step", "", 0, "torch")

    def mark(update: Update) -> Update:
        def marked(part: Any) -> None:
            token = enter(site)
            try:
                update(part)
            finally:
                leave(token)

        return marked

    return mark


def _kinds(kind: Any) -> list[Any]:
    """A class and all that inherit from it."""
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]
