"""An accelerator: where the script waits for it, and how it keeps up with the stages.

What reads a tensor that lives there waits until it has been computed: those calls are
marked, with the user's line. In every so many steps an event is put into the device's
queue at each mark of the thread that trains; when they have passed, some steps later,
they tell when the device was there. Nothing here waits for the device itself.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import wraps
from time import monotonic_ns
from types import CodeType, FrameType, ModuleType
from typing import Any, Protocol

from debottleneck.agent import discover, marks, track
from debottleneck.agent.patches import put, undo_with
from debottleneck.agent.sites import site_of
from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.recording import spool
from debottleneck.words import LINE

READS = (
    *("item", "tolist", "cpu", "nonzero"),
    *("__bool__", "__int__", "__float__", "__index__"),
)
"""Methods of a tensor whose results the host needs; `numpy` is refused there."""

EVERY, MOST_MARKS, MOST_TOLD = 8, 400, 512
"""One step in so many has events, one of so many marks at most; the distance doubles
each time that so many were told."""


class Device(Protocol):
    """An accelerator, or what stands for one in a test."""

    kind: str

    def holds(self, tensor: Any) -> bool:
        """Whether a tensor lives there."""

    def event(self) -> Any:
        """Something that passes when all has that was given to the device before."""

    def has_passed(self, event: Any) -> bool:
        """Asked without waiting."""

    def ns_between(self, first: Any, last: Any) -> int:
        """Time from one that has passed to another."""


class Accelerator:
    """Torch's own; `event` alone brings it up, where a parameter lives there already.

    Args:
        torch: The module.
        kind: As `torch.device.type` says it.
    """

    def __init__(self, torch: ModuleType, kind: str) -> None:
        self._torch, self.kind = torch, kind

    def holds(self, tensor: Any) -> bool:
        """By its `device`."""
        return bool(tensor.device.type == self.kind)

    def event(self) -> Any:
        """On the stream that is current."""
        event = self._torch.Event(device=self.kind, enable_timing=True)
        event.record()
        return event

    def has_passed(self, event: Any) -> bool:
        """Its query."""
        return bool(event.query())

    def ns_between(self, first: Any, last: Any) -> int:
        """Torch gives milliseconds."""
        return int(first.elapsed_time(last) * 1e6)


def install(torch: ModuleType, device: Device | None = None) -> None:
    """Mark waits from now on, where this torch knows of an accelerator at all."""
    current = getattr(torch, "accelerator", None)
    if device is None and current and (known := current.current_accelerator()):
        device = Accelerator(torch, known.type)
    if device is None:
        return
    tensor: Any = torch.Tensor
    for name in READS:
        put(tensor, name, _reading(getattr(tensor, name), name, device))
    others = torch.dtype, torch.Tensor
    for name in ("to", "cuda"):
        plain = getattr(tensor, name)
        put(tensor, name, _copying(plain, name, device, others))
    cuda = torch.cuda
    for owner in (cuda, torch.accelerator, cuda.Event, cuda.Stream):
        if hasattr(owner, "synchronize"):
            put(owner, "synchronize", _always(owner.synchronize))
    timer = StageTimes(device)
    from torch.optim import optimizer

    undo_with(optimizer.register_optimizer_step_post_hook(timer.stepped).remove)


def _waiting(name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = marks.enter(_site(name)) if marks.recording() else -1
    try:
        return call(*args, **kwargs)
    finally:
        marks.leave(token)


def _reading(plain: Callable[..., Any], name: str, device: Device) -> Any:
    @wraps(plain)
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not device.holds(self):
            return plain(self, *args, **kwargs)
        return _waiting(f".{name}()", plain, self, *args, **kwargs)

    return as_frame_of_ours(read)


def _always(plain: Callable[..., Any]) -> Any:
    @wraps(plain)
    def synchronize(*args: Any, **kwargs: Any) -> Any:
        return _waiting("synchronize()", plain, *args, **kwargs)

    return as_frame_of_ours(synchronize)


def _copying(
    plain: Callable[..., Any], name: str, device: Device, others: tuple[type, ...]
) -> Any:
    """A copy waits that comes from there, or goes there from memory not pinned.

    Args:
        plain: `to` or `cuda`.
        name: Which.
        device: The accelerator.
        others: What `to` takes in place of a device.
    """

    @wraps(plain)
    def copy(self: Any, *args: Any, **kwargs: Any) -> Any:
        where = args[0] if args else kwargs.get("device")
        if isinstance(where, others) or (where is None and name == "to"):
            return plain(self, *args, **kwargs)
        kind = str(getattr(where, "type", where)).partition(":")[0]
        there = device.holds(self)
        if there and kind == "cpu":
            return _waiting(f".{name}()", plain, self, *args, **kwargs)
        if there or kind == "cpu" or self.is_pinned():
            return plain(self, *args, **kwargs)
        label = f".{name}() {spool.UNPINNED}"
        return _waiting(label, plain, self, *args, **kwargs)

    return as_frame_of_ours(copy)


_own: dict[CodeType, bool] = {}


def _site(name: str) -> int:
    return site_of_wait(name, spool.DEVICE, sys._getframe(3))


def site_of_wait(name: str, kind: str, frame: FrameType | None) -> int:
    """Of a wait of one of `spool.WAITS_ASIDE` at the user's line that is being run."""
    while frame is not None:
        code = frame.f_code
        if code not in _own:
            module = frame.f_globals.get("__name__", "")
            _own[code] = discover.is_own(code.co_filename, module)
        if _own[code]:
            at = code.co_filename, frame.f_lineno
            return site_of(LINE, name, *at, kind)
        frame = frame.f_back
    return site_of(LINE, name, "", 0, kind)


class StageTimes:
    """Events in the device's queue at the marks of some steps.

    Args:
        device: Whose.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._steps = self._told = 0
        self._every = EVERY
        self._now: list[tuple[int, Any]] = []
        self._track: track.MarkTrack | None = None
        self._open: deque[list[tuple[int, Any]]] = deque()

    def stepped(self, optimizer: Any, *args: Any) -> None:
        """An optimizer has made a step: begin with events, or end."""
        self._steps += 1
        if self._track is not None:
            track.follow_with(None)
            self._track = None
            self._open.append(self._now)
        elif self._steps % self._every == 0 and self._may_begin(optimizer):
            self._now = [(monotonic_ns(), self._device.event())]
            self._track = track.here.track
            track.follow_with(self._follow)
        self._tell()

    def _may_begin(self, optimizer: Any) -> bool:
        first = optimizer.param_groups[0]["params"][:1]
        free = not track.followers and hasattr(track.here, "track")
        there = any(map(self._device.holds, first))
        return free and there and marks.recording()

    def _follow(self, of: track.MarkTrack) -> None:
        if of is self._track and len(self._now) < MOST_MARKS:
            self._now.append((monotonic_ns(), self._device.event()))

    def _tell(self) -> None:
        """Of steps whose last event has passed."""
        while self._open and self._device.has_passed(self._open[0][-1][1]):
            (begun, first), *rest = self._open.popleft()
            between = self._device.ns_between
            times = [(t, begun + between(first, event)) for t, event in rest]
            event = {"tid": track.here.track.tid, "times": [(begun, begun), *times]}
            marks.note({"event": spool.DEVICE, **event})
            self._told += 1
            if self._told % MOST_TOLD == 0:
                self._every *= 2
