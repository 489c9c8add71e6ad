from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from debottleneck.strategies import pools
from debottleneck.strategies.conflicts import grouped
from debottleneck.strategies.parallel_forward import parallel_forward
from debottleneck.strategies.parallel_update import parallel_update

pytestmark = pytest.mark.each_python

SLICES = st.tuples(
    st.integers(0, 20), st.integers(0, 20), st.sampled_from((1, 2, 3, -1))
)


@pytest.fixture(autouse=True)
def pools_end() -> Iterator[None]:
    """Threads are kept between examples; a test ends them."""
    yield
    pools.close_all()


def plainly(outcomes: list[int | None], value: int) -> list[int] | int:
    """The results in sequence, or the number of the first branch that fails."""
    found = []
    for number, outcome in enumerate(outcomes):
        if outcome is None:
            return number
        found.append(outcome + value)
    return found


@settings(max_examples=cases(60))
@given(st.lists(st.none() | st.integers(), max_size=12), st.integers(1, 6))
def test_forward_is_the_plain_loop(outcomes: list[int | None], workers: int) -> None:
    """Any branches, any failures, any number of workers: the plain outcome."""

    def branch(number: int, outcome: int | None, value: int) -> int:
        if outcome is None:
            raise LookupError(number)
        return outcome + value

    branches = [
        lambda value, n=n, outcome=outcome: branch(n, outcome, value)
        for n, outcome in enumerate(outcomes)
    ]
    found: list[int] | int
    try:
        found = parallel_forward(branches, 7, workers=workers)
    except LookupError as error:
        found = error.args[0]
    assert found == plainly(outcomes, 7)


@settings(max_examples=cases(60))
@given(st.lists(SLICES, max_size=8), st.integers(1, 5))
def test_update_is_the_plain_loop(
    slices: list[tuple[int, int, int]], workers: int
) -> None:
    """Any views of one array, overlapping or not: the plain numbers, bit for bit."""
    plain, found = np.arange(20.0), np.arange(20.0)

    def update(parameter: np.ndarray, gradient: float) -> None:
        parameter *= 1.25
        parameter += gradient

    def views(whole: np.ndarray) -> list[np.ndarray]:
        return [whole[start:stop:step] for start, stop, step in slices]

    for number, view in enumerate(views(plain)):
        update(view, number)
    parallel_update(update, views(found), range(len(slices)), workers=workers)
    assert plain.tobytes() == found.tobytes()


@given(st.lists(SLICES, max_size=10))
def test_groups_share_nothing(slices: list[tuple[int, int, int]]) -> None:
    """Every index is in one group; arrays of two groups share no byte."""
    whole = np.zeros(20)
    views = [whole[start:stop:step] for start, stop, step in slices]
    groups = grouped(views)
    assert sorted(chain(*groups)) == list(range(len(views)))
    assert all(group == sorted(group) for group in groups)
    for number, group in enumerate(groups):
        for other in groups[number + 1 :]:
            for one in group:
                for two in other:
                    assert not np.shares_memory(views[one], views[two])
