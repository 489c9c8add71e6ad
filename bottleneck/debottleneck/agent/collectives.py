"""Waits for other ranks: of `torch.distributed`'s work, and in a backward pass.

Every collective of torch's Python functions waits in `Work.wait`, which is marked
with the function's name and the user's line. `DistributedDataParallel` waits at the
end of backward in C++: its reducer is asked when its own computing and its exchange
of gradients ended. Nothing is exchanged, and no hook is put into the exchange.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any
from weakref import WeakSet

from debottleneck.agent import marks, past
from debottleneck.agent.device import site_of_wait
from debottleneck.agent.patches import put
from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.recording import spool

EXCHANGE = "DistributedDataParallel"
"""What the wait in a backward pass is called."""

TOLD_EVERY, MOST_TOLD = 8, 2000
"""One in so many meetings of all ranks is told, so often at most."""

_models: WeakSet[Any] = WeakSet()
"""Those whose reducer tells when it has done what."""


def install(torch: ModuleType) -> None:
    """Mark waits from now on, where this torch was built with `torch.distributed`."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available():
        return
    c10d: Any = torch._C._distributed_c10d
    met = _Meetings()
    put(c10d.Work, "wait", _waiting(c10d.Work.wait, met))
    coalesced = distributed._broadcast_coalesced
    put(distributed, "_broadcast_coalesced", _waiting(coalesced, met))
    for owner in (distributed, sys.modules["torch.distributed.distributed_c10d"]):
        plain = owner.init_process_group
        put(owner, "init_process_group", _joining(plain, distributed))
    model = torch.nn.parallel.DistributedDataParallel
    if hasattr(model, "_get_ddp_logging_data"):
        put(model, "__init__", _telling(model.__init__))
        backward = torch.autograd.backward
        put(torch.autograd, "backward", _after(backward, partial(_exchanged, met)))


class _Meetings:
    """Counts what all ranks leave at once, by which their clocks can be compared."""

    def __init__(self) -> None:
        self._count = self._told = 0

    def note(self, end: int) -> None:
        """One has ended; some are told, those of the same numbers in every rank."""
        self._count += 1
        if self._count % TOLD_EVERY == 1 and self._told < MOST_TOLD:
            self._told += 1
            marks.note({"event": spool.MET, "number": self._count, "end_ns": end})


def _waiting(plain: Callable[..., Any], met: _Meetings) -> Callable[..., Any]:
    """Marks a wait; torch's own function that waits says what it is of."""

    @wraps(plain)
    def wait(*args: Any, **kwargs: Any) -> Any:
        if not marks.recording():
            return plain(*args, **kwargs)
        frame = sys._getframe(1)
        is_torch = frame.f_globals.get("__name__", "").startswith("torch.")
        name = frame.f_code.co_name if is_torch else "wait"
        token = marks.enter(site_of_wait(name, spool.COLLECTIVE, frame))
        try:
            return plain(*args, **kwargs)
        finally:
            marks.leave(token)
            if name.startswith(("all_", "barrier")):
                met.note(time.monotonic_ns())

    return as_frame_of_ours(wait)


def _joining(plain: Callable[..., Any], distributed: Any) -> Callable[..., Any]:
    @wraps(plain)
    def init_process_group(*args: Any, **kwargs: Any) -> Any:
        joined = plain(*args, **kwargs)
        rank, world = distributed.get_rank(), distributed.get_world_size()
        place = {"host": socket.gethostname(), "boot": _boot()}
        marks.note({"event": spool.RANK, "rank": rank, "world": world, **place})
        return joined

    return as_frame_of_ours(init_process_group)


def _boot() -> str:
    try:
        with spool.open_file("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def _telling(plain: Callable[..., None]) -> Callable[..., None]:
    """On an accelerator the exchange is in its queue, and nothing waits here."""

    @wraps(plain)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if self.device_type == "cpu":
            self._set_ddp_runtime_logging_sample_rate(1)
            _models.add(self)

    return as_frame_of_ours(__init__)


def _after(plain: Callable[..., Any], tell: Callable[[int], None]) -> Any:
    @wraps(plain)
    def backward(*args: Any, **kwargs: Any) -> Any:
        if not _models or not marks.recording():
            return plain(*args, **kwargs)
        begun = time.monotonic_ns()
        result = plain(*args, **kwargs)
        tell(begun)
        return result

    return as_frame_of_ours(backward)


def _exchanged(met: _Meetings, begun: int) -> None:
    """Mark what the reducers of this pass waited for; their clock is the wall's."""
    shift = time.monotonic_ns() - time.time_ns()
    for model in _models:
        model.logger.set_runtime_stats_and_log()
        told = model._get_ddp_logging_data()
        start = int(told.get("backward_compute_time_end", 0)) + shift
        end = int(told.get("backward_comm_time_end", 0)) + shift
        if begun < start < end:
            frame = sys._getframe(2)
            past.mark(site_of_wait(EXCHANGE, spool.COLLECTIVE, frame), start, end)
            met.note(end)
