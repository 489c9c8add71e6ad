"""Queues and events that a thread's process shares with the script's process.

In the child, `put` sends the item on its way and returns when there is room. All else
is asked of the thread that waits in the parent: it makes the very call, in the order
in which the plain thread would have made it.
"""

from __future__ import annotations

import os
import pickle
import queue
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from debottleneck.strategies.automatic.thread_work import Work, attributes
from debottleneck.strategies.process import carried, received
from debottleneck.strategies.transport import Sender

PUT, CALL, UNFIT, LAST, ERROR = range(5)
"""Kinds of what the child says."""

_QUEUE = (
    *("put_nowait", "get", "get_nowait", "qsize", "empty", "full"),
    *("join", "task_done", "shutdown"),
)
_EVENT = ("is_set", "set", "clear", "wait")
_INSIDES = ("queue", "mutex", "not_empty", "not_full", "all_tasks_done")

LOOKS_ONLY = frozenset({"qsize", "empty", "full", "is_set"})
"""Calls after which the plain thread can still begin anew."""

Change = tuple[int, str, Any]
_SIMPLE = (bool, int, float, str, type(None))


class InChild:
    """The child's side.

    Args:
        work: What the thread works with.
        sender: Leads to the parent.
    """

    def __init__(self, work: Work, sender: Sender) -> None:
        self._work = work
        self._sender = sender
        self._before = [_simple(each) for each in work.objects]
        self._sizes = [len(each) for each in work.given]
        self._versions = self._tensors()
        self._begun = False

    def install(self) -> None:
        """Lead the shared objects' methods to the parent; guard the arrays."""
        for key, each in enumerate(self._work.shared):
            names = _QUEUE if isinstance(each, queue.Queue) else _EVENT
            for name in names:
                if hasattr(each, name):
                    setattr(each, name, self._caller(key, name))
            if isinstance(each, queue.Queue):
                setattr(each, "put", self._putter(key))  # noqa: B010 - this instance's
                for name in _INSIDES:
                    vars(each).pop(name, None)
        for each in self._work.arrays:
            if hasattr(each, "setflags"):
                each.setflags(write=False)
        warnings.filterwarnings("ignore", r"The given NumPy array is not writable")

    def _putter(self, key: int) -> Callable[..., None]:
        ask = self._caller(key, "put")

        def put(item: Any, block: bool = True, timeout: float | None = None) -> None:
            if not self._begun:
                self._check()
            if not block or timeout is not None:
                ask(item, block, timeout)
            else:
                self._sender.send(PUT, (key, item))

        return put

    def _caller(self, key: int, name: str) -> Callable[..., Any]:
        home = threading.get_ident()

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != home:
                self._leave(f"uses threads of its own that call {name!r}")
            self._sender.tell(CALL, (key, name, args, kwargs))
            good, value = pickle.loads(self._sender.listen())
            if good:
                return value
            raise received(value)

        return call

    def _check(self) -> None:
        """Nothing was delivered yet: see whether results go another way, too."""
        self._begun = True
        if [len(each) for each in self._work.given] != self._sizes:
            self._leave("changes a list that the script may read")
        if self._tensors() != self._versions:
            self._leave("writes into a tensor that the script may read")

    def _tensors(self) -> list[int]:
        versions = (getattr(each, "_version", None) for each in self._work.arrays)
        return [version for version in versions if version is not None]

    def _leave(self, why: str) -> NoReturn:
        """Give up in a way that no handler of the user's can catch."""
        self._sender.tell(UNFIT, why)
        os._exit(0)

    def changes(self) -> list[Change]:
        """Plain attributes that the work has changed: flags and counts."""
        return [
            (index, name, value)
            for index, each in enumerate(self._work.objects)
            for name, value in _simple(each).items()
            if self._before[index].get(name, _NOWHERE) != value
        ]


_NOWHERE = object()


def _simple(each: Any) -> dict[str, Any]:
    held = attributes(each).items()
    return {name: value for name, value in held if type(value) in _SIMPLE}


def apply(changes: Sequence[Change], work: Work) -> None:
    """Make the child's changes here."""
    for index, name, value in changes:
        setattr(work.objects[index], name, value)


def answer(shared: Sequence[Any], call: tuple[int, str, Any, Any]) -> bytes:
    """Make a call that the child asks for; what came of it, for the child."""
    key, name, args, kwargs = call
    try:
        return pickle.dumps((True, getattr(shared[key], name)(*args, **kwargs)))
    except BaseException as error:  # noqa: BLE001 - raised where the child asked
        return pickle.dumps((False, carried(error)))
