"""Parallel forward for an unmodified script's torch module.

The module stays the user's: it has the other forward for the length of a call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.blas import cores
from debottleneck.strategies.remedies.hooks import Remedy, patch
from debottleneck.strategies.rewriting.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.spec import FORWARD, Strategy
from debottleneck.strategies.torch_forward import Branches
from debottleneck.strategies.torch_trace import hooked, name_of

PLAINLY = 2
"""Calls of a module as it is, before it is looked at."""

TWICE = "your script uses the graph of one backward again: it needs all of it"

_SPECIAL = (
    "OptimizedModule",
    "ScriptModule",
    "DataParallel",
    "DistributedDataParallel",
)


class Modules(Remedy):
    """Patches `torch.nn.Module.__call__`, around the agent's marks."""

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._workers = strategy.number("workers", cores())
        self._notes = notes
        self._local = threading.local()
        self._undo: list[Callable[[], None]] = []
        self._met: dict[int, tuple[Any, int]] = {}  # modules, and how often called
        self._runners: dict[int, Branches | None] = {}
        self._keeps_graph = False
        self._calls = 0

    def after_torch(self, torch: ModuleType) -> None:
        """Begin to watch modules, and what is asked of the graph."""
        module, loss = torch.nn.Module, torch.nn.modules.loss._Loss
        plain = module.__call__

        @wraps(plain)
        def call(called: Any, /, *args: Any, **kwargs: Any) -> Any:
            if getattr(self._local, "inside", False):
                return plain(called, *args, **kwargs)
            if pools.is_worker() or isinstance(called, loss):
                return plain(called, *args, **kwargs)
            self._local.inside = True
            try:
                return self._outermost(plain, called, args, kwargs)
            finally:
                self._local.inside = False

        self._undo.append(patch(module, "__call__", as_frame_of_ours(call)))
        for name, at in (("backward", 2), ("grad", 3)):
            asking = self._asking(torch.autograd, name, at)
            self._undo.append(patch(torch.autograd, name, asking))

    def close(self) -> None:
        """Undo it, and say what it came to."""
        while self._undo:
            self._undo.pop()()
        if self._calls:
            text = f"{self._calls} calls of a module ran in {self._workers} threads"
            self._notes.say(FORWARD, SUMMARY, text, calls=self._calls)
        self._runners.clear()
        self._met.clear()

    def _asking(self, owner: Any, name: str, at: int) -> Callable[..., Any]:
        """See whether a graph is used twice: then its parts cannot be functions.

        `retain_graph` and `create_graph` are the arguments at this position and next.
        """
        plain = getattr(owner, name)

        @wraps(plain)
        def asked(*args: Any, **kwargs: Any) -> Any:
            said = kwargs.get("retain_graph"), kwargs.get("create_graph")
            if any((*args[at : at + 2], *said)) and not self._keeps_graph:
                self._keeps_graph = True
                if self._calls:
                    self._notes.say(FORWARD, FAILED, TWICE)
            return plain(*args, **kwargs)

        return as_frame_of_ours(asked)

    def _outermost(
        self,
        plain: Callable[..., Any],
        module: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        runner = self._runner(module)
        if runner is None or self._keeps_graph or hooked(module):
            return plain(module, *args, **kwargs)
        vars(module)["forward"] = runner
        try:
            result = plain(module, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the plain call raises its own
            del vars(module)["forward"]
            what = f"{type(error).__name__}: {error}".partition("\n")[0]
            what = f"in threads {name_of(module)} raised {what}"
            result = plain(module, *args, **kwargs)
            self._runners[id(module)] = None
            self._notes.say(FORWARD, FAILED, what)
        else:
            self._served(module)
        finally:
            vars(module).pop("forward", None)
        return result

    def _runner(self, module: Any) -> Branches | None:
        """What runs in threads instead; None, and why, when nothing can."""
        if id(module) in self._runners:
            return self._runners[id(module)]
        _, calls = self._met.get(id(module), (None, 0))
        self._met[id(module)] = module, calls + 1
        if calls < PLAINLY or "forward" in vars(module):
            return None
        runner = None
        try:
            runner = self._made(module)
        except StrategyError as error:
            self._notes.say(FORWARD, REFUSED, str(error))
        self._runners[id(module)] = runner
        return runner

    def _made(self, module: Any) -> Branches:
        name = name_of(module)
        if self._workers < 2:
            raise StrategyError("workers=1 leaves the calls one after the other")
        if any(kind.__name__ in _SPECIAL for kind in type(module).__mro__):
            raise StrategyError(f"{name} runs its parts in a way of its own")
        if hooked(module):
            raise StrategyError(f"{name} has hooks, which would see another forward")
        if self._keeps_graph:
            raise StrategyError(TWICE)
        return Branches(module, self._workers)

    def _served(self, module: Any) -> None:
        """A call ran in threads."""
        self._calls += 1
        text = f"independent branches of {name_of(module)} run side by side"
        self._notes.say(FORWARD, ENGAGED, text, workers=self._workers)
        self._notes.keep(
            FORWARD,
            "from debottleneck import BranchParallel",
            f"model = BranchParallel(model, workers={self._workers})",
        )
