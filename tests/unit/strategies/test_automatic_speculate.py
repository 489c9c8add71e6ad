"""Calls made ahead are handed out only when they are the ones that come."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from debottleneck.agent.calls import Call, Progression
from debottleneck.errors import StrategyError
from debottleneck.strategies.automatic.speculate import Speculation


class AtOnce:
    """A caller that makes each call when it is submitted."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.made: list[tuple[Any, ...]] = []
        self.closed = False

    def submit(self, call: Call) -> Future[Any]:
        """Make it now."""
        self.made.append(call.args)
        future: Future[Any] = Future()
        try:
            future.set_result(self.function(*call.args, **call.kwargs))
        except (ValueError, KeyError) as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Loader:
    """A function under speculation, and all that was said of it."""

    def __init__(self, plain: Any, ahead: Any = None, depth: int = 3) -> None:
        self.plain_calls: list[tuple[Any, ...]] = []
        self.said: list[str] = []
        self.callers: list[AtOnce] = []

        def counted(*args: Any) -> Any:
            self.plain_calls.append(args)
            return plain(*args)

        def begin(progression: Progression, call: Call) -> AtOnce:
            self.callers.append(AtOnce(ahead or plain))
            return self.callers[-1]

        engaged = lambda: self.said.append("engaged")  # noqa: E731 - a word
        self.load = Speculation(counted, begin, depth, engaged, self.said.append)


def test_a_progression_is_called_ahead_and_gives_the_same() -> None:
    """Three plain calls, then each result was there before."""
    loader = Loader(lambda n: n * n)
    assert [loader.load(n) for n in range(8)] == [n * n for n in range(8)]
    assert loader.plain_calls == [(0,), (1,), (2,)]
    assert loader.load.made_ahead == 5
    assert loader.said == ["engaged"]


def test_no_more_than_the_depth_is_ahead() -> None:
    """After call n the calls up to n + depth have begun, no further."""
    loader = Loader(lambda n: n, depth=2)
    for n in range(6):
        loader.load(n)
    assert max(args[0] for args in loader.callers[0].made) == 7


def test_another_call_than_foreseen_is_made_plainly() -> None:
    """What was fetched for nothing is dropped, the right thing is returned."""
    loader = Loader(lambda n: n + 1)
    asked = [0, 1, 2, 3, 50, 51, 52, 53]
    assert [loader.load(n) for n in asked] == [n + 1 for n in asked]
    assert (50,) in loader.plain_calls


def test_an_error_ahead_is_raised_only_by_the_call_itself() -> None:
    """Beyond the end fetching fails, which nobody asked for."""

    def rows(n: int) -> int:
        return [10, 11, 12, 13, 14][n] if n < 5 else {}[n]

    loader = Loader(rows)
    assert [loader.load(n) for n in range(5)] == [10, 11, 12, 13, 14]
    with pytest.raises(KeyError):
        loader.load(5)


def test_an_error_that_only_fetching_ahead_raises_ends_it() -> None:
    """A source that refuses other threads is left alone, and the user sees nothing."""

    def elsewhere(n: int) -> int:
        raise ValueError("made in another thread")

    loader = Loader(lambda n: n, elsewhere)
    assert [loader.load(n) for n in range(12)] == list(range(12))
    assert loader.load.given_up
    assert "raised ValueError, which the plain call did not" in loader.said[-1]


def test_forecasts_may_fail_again_and_again() -> None:
    """A loop that jumps gets what it asks for, whatever was fetched for nothing."""
    loader = Loader(lambda n: n)
    jumps = [base + n for base in (0, 100, 1000, 5000, 9000) for n in range(4)]
    assert [loader.load(n) for n in jumps] == jumps
    ahead = {args[0] for caller in loader.callers for args in caller.made}
    assert ahead - set(jumps)


def test_other_fixed_arguments_make_another_caller() -> None:
    """A process was forked with the old ones, so it is ended."""
    loader = Loader(lambda data, n: (data, n))
    for n in range(5):
        loader.load("train", n)
    for n in range(5, 12):
        assert loader.load("more", n) == ("more", n)
    assert [caller.closed for caller in loader.callers] == [True, False]


def test_closed_speculation_calls_plainly() -> None:
    """At exit whatever still loads does it as plain python would."""
    loader = Loader(lambda n: n)
    for n in range(5):
        loader.load(n)
    loader.load.close()
    assert loader.load(5) == 5
    assert loader.plain_calls[-1] == (5,)
    assert loader.callers[0].closed


def test_a_caller_that_cannot_be_made_ends_it() -> None:
    """Where no process can be started the calls are plain, and it is said why."""
    said: list[str] = []

    def begin(progression: Progression, call: Call) -> AtOnce:
        raise StrategyError("no process can be started here")

    load = Speculation(lambda n: n, begin, 3, lambda: None, said.append)
    assert [load(n) for n in range(8)] == list(range(8))
    assert said == ["it cannot be called ahead: no process can be started here"]
