"""Whatever the source, its failure, the workers: the plain sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from debottleneck.strategies.prefetch import Iteration, prefetch

pytestmark = pytest.mark.each_python

ERRORS = (ValueError, IndexError, StopIteration, KeyError, RuntimeError)
WORKERS = st.one_of(st.integers(1, 6), st.just("auto"))
DEPTHS = st.integers(1, 6)
FAILURES = st.dictionaries(st.integers(0, 24), st.sampled_from(ERRORS), max_size=4)
NAPS = st.lists(st.sampled_from([0.0, 0.0, 1e-4, 5e-4]), min_size=1, max_size=5)

law = settings(max_examples=cases(120))


class Plain:
    """An iterator that fails at some of its positions, and goes on."""

    def __init__(self, length: int, failures: dict[int, type[Exception]]) -> None:
        self.length = length
        self.failures = failures
        self.index = -1

    def __iter__(self) -> Plain:
        return self

    def __next__(self) -> int:
        self.index += 1
        if self.index in self.failures:
            raise self.failures[self.index](self.index)
        if self.index >= self.length:
            raise StopIteration
        return self.index


class Indexed:
    """The old iteration protocol: `__getitem__` alone, over after a failure."""

    def __init__(
        self, length: int, failures: dict[int, type[Exception]], naps: list[float]
    ) -> None:
        self.length = length
        self.failures = failures
        self.naps = naps

    def __getitem__(self, index: int) -> int:
        time.sleep(self.naps[index % len(self.naps)])
        if index in self.failures:
            raise self.failures[index](index)
        if index >= self.length:
            raise IndexError(index)
        return index


def generated(source: Plain) -> Iterator[int]:
    """A generator over it: it is over after a failure."""
    yield from source


def asked(
    iterator: Iterator[Any], times: int, naps: Sequence[float] = (0.0,)
) -> list[object]:
    """What so many calls of `next` gave: a batch, or an exception as text.

    Between them a nap, during which the prefetch may run ahead.
    """
    seen: list[object] = []
    for number in range(times):
        time.sleep(naps[number % len(naps)])
        try:
            seen.append(next(iterator))
        except Exception as error:  # noqa: BLE001 - all are compared
            seen.append((type(error), str(error.args)))
    return seen


def closed(
    found: Iteration[Any], times: int, naps: Sequence[float] = (0.0,)
) -> list[object]:
    """Likewise of a prefetch, which then leaves nothing behind."""
    with found:
        return asked(iter(found), times, naps)


@law
@given(st.integers(0, 25), FAILURES, NAPS, DEPTHS)
def test_an_iterator_that_fails_and_goes_on(
    length: int,
    failures: dict[int, type[Exception]],
    naps: list[float],
    depth: int,
) -> None:
    """Each `next` gives what it gives without a prefetch, beyond any failure."""
    plain = asked(iter(Plain(length, failures)), 30)
    found = prefetch(Plain(length, failures), depth=depth)
    assert closed(found, 30, naps) == plain


@law
@given(st.integers(0, 25), FAILURES, WORKERS, DEPTHS)
def test_a_generator(
    length: int, failures: dict[int, type[Exception]], workers: Any, depth: int
) -> None:
    """Likewise, where the first failure is the last."""
    plain = asked(generated(Plain(length, failures)), 30)
    source = generated(Plain(length, failures))
    found = prefetch(source, workers=workers, depth=depth)
    assert closed(found, 30) == plain


def until_the_end(source: Indexed) -> list[object]:
    """The plain loop over an indexed source, with what ended it."""
    seen = asked(iter(source), 30)
    ends = [position for position, each in enumerate(seen) if isinstance(each, tuple)]
    over = (StopIteration, "()")
    return [*seen[: ends[0] + 1], *[over] * (29 - ends[0])]


@law
@given(st.integers(0, 25), FAILURES, NAPS, WORKERS, DEPTHS)
def test_an_indexed_source(
    length: int,
    failures: dict[int, type[Exception]],
    naps: list[float],
    workers: Any,
    depth: int,
) -> None:
    """In order up to the first failure, however long each fetch takes."""
    plain = until_the_end(Indexed(length, failures, naps))
    source = Indexed(length, failures, naps)
    found = iter(prefetch(source, workers=workers, depth=depth))
    assert closed(found, 30) == plain


@law
@given(st.integers(0, 25), NAPS, WORKERS, DEPTHS, st.integers(0, 25))
def test_closed_anywhere(
    length: int, naps: list[float], workers: Any, depth: int, taken: int
) -> None:
    """The batches before a close are the plain ones, and there are none after it."""
    load: Callable[[int], int] = Indexed(length, {}, naps).__getitem__
    found = iter(prefetch(load, workers=workers, depth=depth))
    first = [batch for batch, _ in zip(found, range(taken), strict=False)]
    found.close()
    assert first == list(range(min(taken, length)))
    assert list(found) == []
