"""A process of our own that runs one function and never outlives this process.

It is forked: the function and its data need no pickling. Two pipes lead to it, one for
what it sends and one, the lifeline, over which nothing is ever sent: when this process
ends, however it ends, the kernel kills the child by it. Other processes that this one
forks close their copies of both, so that an end is seen.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from socket import SHUT_RDWR
from typing import Any, NoReturn, TypeAlias

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools, standstill
from debottleneck.strategies.transport import Gone, socket_of

GRACE_S = 1.0
"""How long a child that is asked to end may take to finish what it does."""

EXIT_GRACE_S = 0.5
"""The same at the interpreter's exit, for all children together."""

End: TypeAlias = "Connection[Any, Any]"
Main: TypeAlias = "Callable[[End], None]"


class Child:
    """A process that runs `main(connection)`.

    Args:
        main: What it does. It ends with it; `Gone` ends it silently.
        name: For messages, and of the thread that forks.

    Raises:
        StrategyError: No process can be started, or this is not Linux.
    """

    def __init__(self, main: Main, name: str) -> None:
        self.name = name
        self._owner = os.getpid()
        self._status: int | None = None
        self._lock = threading.Lock()
        if sys.platform != "linux":
            raise StrategyError("where='process' needs Linux", "use where='thread'")
        with _Turn():
            self.connection, theirs = _open(Pipe())
            lifeline, self._lifeline = _open(Pipe(duplex=False))
            kept = (theirs, lifeline)
            try:
                self.pid = _fork_in_fresh_thread(main, kept, f"bottleneck-{name}")
            except BaseException:  # raised again: nothing is left open, whatever it is
                _close(self.connection, self._lifeline)
                raise
            finally:
                _close(*kept)
        _alive[id(self)] = self

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, after waiting that long for it."""
        until = time.monotonic() + timeout_s
        nap_s = 0.0002
        while not self._reap():
            remaining_s = until - time.monotonic()
            if remaining_s <= 0:
                return False
            time.sleep(min(nap_s, remaining_s))
            nap_s = min(2 * nap_s, 0.01)
        return True

    def end(self, grace_s: float = GRACE_S) -> None:
        """End it: ask, wait a moment, kill. Does nothing in another process.

        A thread that reads from the connection meanwhile finds it at its end.
        """
        if os.getpid() != self._owner or _alive.pop(id(self), None) is None:
            return
        _hang_up(self.connection)
        if not self.wait(grace_s):
            self._kill()
            self.wait(5)
        _close(self.connection, self._lifeline)

    def why(self) -> str:
        """How it ended, as the rest of a sentence about it."""
        self.wait(1)
        status = self._status
        if status is None:
            return "closed its connection"
        if status >= 0:
            return f"ended with exit code {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = " (when memory ran out, perhaps)" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"

    def _reap(self) -> bool:
        with self._lock:
            if self._status is not None:
                return True
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                self._status = 0
                return True
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            return pid != 0

    def _kill(self) -> None:
        with self._lock:
            if self._status is None:
                os.kill(self.pid, signal.SIGKILL)


def end_all() -> None:
    """End every child of this process, at its exit; one moment for all of them."""
    children = list(_alive.values())
    until = time.monotonic() + EXIT_GRACE_S
    for child in children:
        _hang_up(child.connection)
    for child in children:
        child.end(max(0.0, until - time.monotonic()))


class _Turn:
    """One thread forks at a time; the others stand still meanwhile."""

    @standstill.waits
    def __enter__(self) -> None:
        _forking.acquire()

    def __exit__(self, *raised: object) -> None:
        _forking.release()


_is_child = False
_alive: dict[int, Child] = {}
_ends: dict[int, End] = {}
"""Ends of pipes that other forked processes must not keep open."""
_forking = threading.RLock()
_kept: set[int] = set()
"""Ends that the child about to be forked by the holder of `_forking` keeps."""
_kept_by = 0


def _open(ends: tuple[End, End]) -> tuple[End, End]:
    for end in ends:
        _ends[id(end)] = end
    return ends


def _close(*ends: End) -> None:
    for end in ends:
        _ends.pop(id(end), None)
        end.close()


def _hang_up(connection: End) -> None:
    """End both directions, for every thread and process that uses it."""
    try:
        with socket_of(connection) as door:
            door.shutdown(SHUT_RDWR)
    except OSError:  # it has ended already
        return


def _fork_in_fresh_thread(main: Main, kept: tuple[End, End], name: str) -> int:
    """Fork from a thread that has run nothing else, see `_fork`."""
    pid: Future[int] = Future()
    call = (pid, contextvars.copy_context().run, _fork, main, kept)
    thread = threading.Thread(target=pools.make, args=call, name=name, daemon=True)
    thread.start()
    thread.join()
    return pid.result()


def _fork(main: Main, kept: tuple[End, End]) -> int:
    """The child's pid; the child itself never returns.

    The forking thread becomes the child's main thread. OpenMP (libgomp, so torch on
    CPU) keeps a team of threads for each thread that has used it, and the child's copy
    of that team has no threads: it would wait for them for ever. A thread that never
    ran OpenMP code has no team, and the child makes its own, of the same size.
    """
    global _kept_by
    _allow_fork()
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    _kept.update(map(id, kept))
    _kept_by = threading.get_ident()
    random: Any = sys.modules.get("random")
    state = random and random.getstate()
    try:
        try:
            pid = standstill.fork()
        except OSError as error:
            raise StrategyError(
                f"no process could be started: {error}", "use where='thread'"
            ) from error
        if pid == 0:
            if random is not None:  # it has drawn a new seed, as after every fork
                random.setstate(state)
            _run(main, *kept)
        return pid
    finally:
        _kept.clear()
        _kept_by = 0


def _allow_fork() -> None:
    """Have Python 3.12 and later not warn of threads at our own fork.

    The warning is about locks that another thread holds at the fork and that nobody
    releases in the child. The interpreter renews its own (import, logging, threading).
    The child runs only the user's loading code, before which no other thread of ours
    runs, and a loader that does hang is ended with its parent. The filter names this
    module: everybody else's forks warn as ever.
    """
    for _, _, _, module, _ in warnings.filters:
        if getattr(module, "pattern", "") == __name__:
            return
    warnings.filterwarnings(
        "ignore", r".*multi-threaded", DeprecationWarning, module=__name__
    )


def _run(main: Main, connection: End, lifeline: End) -> NoReturn:
    """The forked child's life; it leaves without the parent's exit handlers."""
    code = 1
    try:
        _settle(lifeline)
        main(connection)
        code = 0
    except Gone:
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of the parent's may go on in the child
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        os._exit(code)


def _settle(lifeline: End) -> None:
    """Signals, stdin and life of a child; Ctrl-C is for the parent to act on."""
    global _is_child
    _is_child = True
    pools.as_worker()
    _die_with(lifeline)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _die_with(lifeline: End) -> None:
    """Be killed when nobody holds the other end any more.

    The kernel sends a signal of choice when a pipe is hung up. PR_SET_PDEATHSIG would
    kill the child as soon as the *thread* that forked it ends.
    """
    import fcntl

    number = lifeline.fileno()
    fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    fcntl.fcntl(number, fcntl.F_SETFL, flags | os.O_ASYNC)
    if lifeline.poll(0):
        os._exit(1)


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):  # closed, or pythonw's None
        return


def _after_fork() -> None:
    """A forked process, ours or not, keeps no end but those meant for it."""
    global _forking, _kept_by
    keeps = set(_kept) if _kept_by == threading.get_ident() else set()
    for key, end in list(_ends.items()):
        if key not in keeps:
            end.close()
    _ends.clear()
    _alive.clear()
    _kept.clear()
    _kept_by = 0
    _forking = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(end_all)
