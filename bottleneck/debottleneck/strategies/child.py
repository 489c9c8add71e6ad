"""A process of our own that runs one function and never outlives this process.

It is forked: the function and its data need no pickling. The thread that forks it waits
for its end, and the kernel kills it with that thread, however this process ends.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from multiprocessing import Pipe
from socket import AF_UNIX, SHUT_RDWR, SOCK_STREAM, fromfd
from typing import Any, NoReturn, TypeAlias

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools, standstill
from debottleneck.strategies.transport import End, Gone

GRACE_S = 1.0
"""How long a child that is asked to end may take to finish what it does."""

EXIT_GRACE_S = 0.5
"""The same at the interpreter's exit, for all children together."""

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>

Main: TypeAlias = "Callable[[End], None]"


class Child:
    """A process that runs `main(connection)`.

    Raises:
        StrategyError: No process can be started, or this is not Linux.
    """

    def __init__(self, main: Main, name: str) -> None:
        if sys.platform != "linux":
            raise StrategyError("where='process' needs Linux", "use where='thread'")
        self.name = name
        self._owner = os.getpid()
        self._status: int | None = None
        self.connection, theirs = Pipe()
        forked: Future[int] = Future()
        run = copy_context().run
        self._thread = threading.Thread(
            target=self._look_after, args=(forked, run, main, theirs),
            name=f"bottleneck-{name}", daemon=True,
        )  # fmt: skip
        _alive[id(self)] = self
        try:
            self._thread.start()
            self.pid = forked.result()
        except BaseException:  # raised again: nothing is left open, whatever it is
            _alive.pop(id(self), None)
            self.connection.close()
            raise
        finally:
            theirs.close()

    @standstill.waits
    def _look_after(
        self, forked: Future[int], run: Callable[..., int], main: Main, theirs: End
    ) -> None:
        """Fork, from a thread that has run nothing else, and wait for the end.

        OpenMP (libgomp, so torch on CPU) keeps a team of threads for each thread that
        has used it, and a child's copy of that team has no threads: it would wait for
        them for ever. A thread that never ran OpenMP code has no team.
        """
        try:
            pid = run(_fork, main, theirs)
        except BaseException as error:  # noqa: BLE001 - raised where it is started
            forked.set_exception(error)
            return
        forked.set_result(pid)
        try:
            status = os.waitpid(pid, 0)[1]
        except ChildProcessError:  # somebody else has waited for it
            status = 0
        self._status = os.waitstatus_to_exitcode(status)
        _hang_up(self.connection)  # another process may hold a copy of its end

    def end(self, grace_s: float = GRACE_S) -> None:
        """End it: ask, wait a moment, kill. Does nothing in another process.

        A thread that reads from the connection meanwhile finds it at its end.
        """
        if os.getpid() != self._owner or _alive.pop(id(self), None) is None:
            return
        _hang_up(self.connection)
        if self._thread is not threading.current_thread():
            self._thread.join(grace_s)
            if self._thread.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                self._thread.join(5)
        self.connection.close()

    def why(self) -> str:
        """How it ended, as the rest of a sentence about it."""
        self._thread.join(1)
        status = self._status
        if status is None:
            return "closed its connection"
        if status >= 0:
            return f"ended with exit code {status}"
        names = {int(number): number.name for number in signal.Signals}
        hint = " (when memory ran out, perhaps)" if -status == signal.SIGKILL else ""
        return f"was killed by {names.get(-status, f'signal {-status}')}{hint}"


_alive: dict[int, Child] = {}


def end_all() -> None:
    """End every child of this process, at its exit; one moment for all of them."""
    children = list(_alive.values())
    until = time.monotonic() + EXIT_GRACE_S
    for child in children:
        _hang_up(child.connection)
    for child in children:
        child.end(max(0.0, until - time.monotonic()))


def _hang_up(connection: End) -> None:
    """End both directions, for every thread and process that uses it."""
    with (
        suppress(OSError),  # it has ended already
        fromfd(connection.fileno(), AF_UNIX, SOCK_STREAM) as door,
    ):
        door.shutdown(SHUT_RDWR)


def _fork(main: Main, connection: End) -> int:
    """The child's pid; the child itself never returns."""
    _flush()
    random: Any = sys.modules.get("random")
    state = random and random.getstate()
    owner = os.getpid()
    try:
        pid = standstill.fork()
    except OSError as error:
        raise StrategyError(
            f"no process could be started: {error}", "use where='thread'"
        ) from error
    if pid == 0:
        if random is not None:  # it has drawn a new seed, as after every fork
            random.setstate(state)
        _run(main, connection, owner)
    return pid


def _run(main: Main, connection: End, owner: int) -> NoReturn:
    """The forked child's life; it leaves without the parent's exit handlers."""
    code = 1
    try:
        _settle(owner)
        main(connection)
        code = 0
    except Gone:
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of the parent's may go on in the child
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _settle(owner: int) -> None:
    """Signals, stdin and life of a child; Ctrl-C is for the parent to act on."""
    pools.as_worker()
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, int(signal.SIGKILL))
    if os.getppid() != owner:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or pythonw's None
            stream.flush()


def _after_fork() -> None:
    """A forked process, ours or not, talks to none of this one's children."""
    for child in _alive.values():
        child.connection.close()
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(end_all)
