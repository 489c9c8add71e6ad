"""What the code of marked functions refers to; stand-ins for it in other processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import nullcontext
from functools import partial
from types import FrameType
from typing import Any, Protocol, cast

from debottleneck.agent.marks import enter, leave, recording
from debottleneck.agent.track import MarkTrack, here, hushed

_NOTHING = None, -1
"""What stands for a site that was entered and not marked."""


class Silence:
    """`with SILENCE:` does nothing, in C alone."""

    __slots__ = ()
    __enter__ = bool
    __exit__ = "".format


SILENCE = Silence()


class Owner(Protocol):
    """What the code of a function refers to, whose body is in a `with` block."""

    def use(self, marks: Within | Silence) -> None:
        """Begin the block with this from now on."""


class Within:
    """`with Within(site, owner):` marks a block that does not hand its token on.

    Where one thread alone comes here, `SILENCE` stands in its place in iterations of
    that thread that go unmarked: most of them, where steps are short.
    """

    __slots__ = ("_is_shared", "_owner", "_site", "_track")

    def __init__(self, site: int, owner: Owner) -> None:
        self._site = site
        self._owner = owner
        self._track: MarkTrack | None = None
        self._is_shared = False

    def __enter__(self) -> None:
        if hushed():
            here.track.within.append(_NOTHING)
        elif recording():
            try:
                token = enter(self._site)
            except RecursionError:  # the user's own next call will say so
                token = -1
            track: MarkTrack = here.track
            if track is not self._track and not self._is_shared:
                self._meet(track)
            track.within.append((None, token))

    def _meet(self, track: MarkTrack) -> None:
        """A thread comes here for the first time."""
        if self._track is None:
            self._track = track
            track.own.append(self)
            return
        self._is_shared = True
        self._track.own.remove(self)
        self.hush(False)

    def hush(self, hushed: bool) -> None:
        """Leave the place to `SILENCE`, or take it back."""
        silent = hushed and not self._is_shared
        self._owner.use(SILENCE if silent else self)

    def __exit__(self, *error: object) -> None:
        track: MarkTrack | None = getattr(here, "track", None)
        if track is not None and track.within:  # else entered before it, or a fork
            _, token = track.within.pop()
            if token >= 0:
                leave(token)


def resume(site: int, frame: FrameType) -> None:
    """Enter a site until this generator pauses; others may come in between."""
    if recording():
        token = enter(site)
        here.track.within.append((frame, token))


def pause(frame: FrameType) -> None:
    """Leave the site that this generator entered when it was resumed, if it did."""
    try:
        entered = here.track.within
    except AttributeError:  # resumed before the recording, or before a fork
        return
    for index in range(len(entered) - 1, -1, -1):
        if entered[index][0] is frame:
            leave(entered.pop(index)[1])
            return


results: list[Callable[[int, Any], None]] = []
"""Are told what marked functions return and yield: the site, the value."""


class Point:
    """What the code of a marked function refers to; no two functions share one.

    Attributes:
        marks: For `with`: the body of a plain function.
        turns: Likewise of a generator, asynchronous ones too.
    """

    marks: Within | Silence

    def __init__(self, site: int) -> None:
        self.site = site
        self.use(Within(site, self))
        self.turns = _Turns(site)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the function does what it would do without marks."""
        return _STAND_IN

    def use(self, marks: Within | Silence) -> None:
        """Begin the body of a plain function with this."""
        self.marks = marks

    def once(self) -> _Once:
        """For `with`: the body of a coroutine, which others interrupt."""
        return _Once(self.site)

    def enter(self) -> int:
        """As `marks.enter`."""
        return enter(self.site)

    def leave(self, token: int) -> None:
        """As `marks.leave`."""
        leave(token)

    def gives(self, value: Any) -> Any:
        """The function returns this."""
        for tell in results:
            tell(self.site, value)
        return value

    def out(self, item: Any) -> Any:
        """Leave the generator with an item."""
        pause(sys._getframe(1))
        return self.gives(item)

    def back(self, sent: Any) -> Any:
        """Come back to the generator with what it is sent."""
        resume(self.site, sys._getframe(1))
        return sent

    def through(self, items: Any) -> Any:
        """Leave for what is delegated to: it marks itself, or each turn is marked."""
        pause(sys._getframe(1))
        code = getattr(items, "gi_code", None)
        if code is not None and any(isinstance(c, Point) for c in code.co_consts):
            return items
        return delegated(self, iter(items))


class _Turns:
    """The body of a generator: in the stage from each resumption to its yield.

    An error thrown in, or `close`, resumes it unmarked: nothing tells of these.
    """

    __slots__ = ("_site",)

    def __init__(self, site: int) -> None:
        self._site = site

    def __enter__(self) -> None:
        resume(self._site, sys._getframe(1))

    def __exit__(self, *error: object) -> None:
        pause(sys._getframe(1))


class _Once:
    """`with` block of one call."""

    __slots__ = ("_site", "_token")

    def __init__(self, site: int) -> None:
        self._site = site

    def __enter__(self) -> None:
        self._token = enter(self._site)

    def __exit__(self, *error: object) -> None:
        leave(self._token)


def stand_in(**attributes: object) -> tuple[Any, ...]:
    """How `pickle` makes an object of the standard library that has these.

    Code with it among its constants must be hashable: so not a `SimpleNamespace`.
    """
    return partial, (bool,), (bool, (), {}, attributes)


_UNCHANGED = partial(cast, None)
_STAND_IN = stand_in(
    gives=_UNCHANGED,
    marks=nullcontext(),
    once=nullcontext,
    turns=nullcontext(),
    out=_UNCHANGED,
    back=_UNCHANGED,
    through=_UNCHANGED,
    enter=bool,
    leave=bool,
)


def delegated(point: Point, items: Any) -> Generator[Any, Any, Any]:
    """What `yield from items` does, with each turn of theirs marked."""
    send = getattr(items, "send", lambda value: next(items))
    go: Callable[..., Any] = send
    value: tuple[Any, ...] = (None,)
    while True:
        token = point.enter()
        try:
            item = go(*value)
        except StopIteration as stop:
            return stop.value
        finally:
            point.leave(token)
        try:
            go, value = send, ((yield item),)
        except GeneratorExit:
            getattr(items, "close", bool)()
            raise
        except BaseException as error:  # thrown on into the inner one
            if not hasattr(items, "throw"):
                raise
            go, value = items.throw, (error,)
