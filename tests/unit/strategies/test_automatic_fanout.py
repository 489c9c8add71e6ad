"""A load that loads each element of a list is run for all of them at once."""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from debottleneck.agent.calls import Call
from debottleneck.agent.elements import Pattern
from debottleneck.errors import StrategyError
from debottleneck.strategies.automatic.fanout import Fanout, sizes


class Script:
    """`load_batch(files)` that calls `load_image(file, 16)` for each."""

    def __init__(
        self, *, begin: bool = True, order: Any = list, workers: int = 32
    ) -> None:
        self.begun: list[Any] = []
        self.plain: list[Any] = []
        self.engaged: list[object] = []
        self.said: list[str] = []
        self.order = order
        self._begin = begin
        self.fanout = Fanout(
            self._submit,
            workers,
            1,
            lambda key, _: self.engaged.append(key),
            self.said.append,
        )

    def _submit(self, pattern: Pattern, calls: list[Call]) -> Future[list[Any]]:
        self.begun += [call.args[0] for call in calls]
        future: Future[list[Any]] = Future()
        if self._begin:
            future.set_running_or_notify_cancel()
            args = itertools.takewhile(
                lambda a: a[0] != "broken", (c.args for c in calls)
            )
            future.set_result([("ahead", *each) for each in args])
        return future

    def _image(self, file: Any, side: int) -> Any:
        self.plain.append(file)
        if file == "broken":
            raise ValueError(file)
        return ("plain", file, side)

    def image(self, file: Any, side: int) -> Any:
        """The marked inner load."""
        call = Call((file, side), {})
        return self.fanout.inner("load_image", call, self._image)

    def batch(self, files: Any) -> list[Any]:
        """The marked outer load."""

        def plain(files: Any) -> list[Any]:
            return [self.image(file, 16) for file in self.order(files)]

        return self.fanout.outer("load_batch", Call((files,), {}), plain)


def test_the_second_batch_is_begun_as_a_whole() -> None:
    """One batch teaches the pattern, the next ones' elements begin together."""
    script = Script()
    assert script.batch(["a", "b", "c", "d"]) == [
        ("plain", name, 16) for name in "abcd"
    ]
    assert script.batch(["e", "f", "g", "h", "i"]) == [
        ("ahead", name, 16) for name in "efghi"
    ]
    assert script.begun == list("ihgfe")
    assert script.engaged == ["load_batch"]
    assert script.fanout.ahead == 5


def test_what_has_not_begun_is_done_by_the_trainer() -> None:
    """With all workers busy the trainer does not wait for them."""
    script = Script(begin=False)
    script.batch(["a", "b", "c", "d"])
    assert script.batch(["e", "f", "g", "h"])[0] == ("plain", "e", 16)


def test_a_part_s_failure_leaves_the_rest_to_the_trainer() -> None:
    """What came before it is used; it and what follows are called plainly."""
    script = Script(workers=1)
    script.batch(list("abcdefgh"))
    with pytest.raises(ValueError, match="broken"):
        script.batch(["i", "j", "k", "l", "m", "broken", "o", "p"])
    assert script.fanout.ahead == 3
    assert script.plain[8:] == ["i", "j", "broken"]


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("count", [4, 32, 1000])
def test_parts_are_long_at_the_end_and_short_where_all_meet(
    count: int, workers: int
) -> None:
    """They add up, never grow, and are single calls in the trainer's own share."""
    found = sizes(count, workers)
    assert found == sorted(found, reverse=True)
    trainers = count - sum(found)
    share = count / (workers + 1)
    assert 0.5 * share - 1 <= trainers <= 0.7 * share
    near = int(0.9 * share) - trainers
    assert found[len(found) - near :] == [1] * near


def test_parts_for_processes_are_never_single_calls() -> None:
    """A message costs about as much as a short call; the last part may be shorter."""
    assert sizes(32, 1, least=4) == [8, 4, 4, 4, 4]
    assert sizes(5, 1, least=4) == [4]
    assert sizes(4, 3, least=4) == [4]


def test_numbers_out_of_an_array_are_elements_too() -> None:
    """Indices picked by a generator are compared by value."""
    script = Script()
    script.batch(np.array([3, 1, 4, 1]))
    assert [found[0] for found in script.batch(np.array([5, 9, 2, 6]))] == ["ahead"] * 4


@pytest.mark.parametrize(
    ("order", "files"),
    [(lambda files: sorted(files, reverse=True), list("abcd")), (list, ["a", "b"])],
)
def test_another_order_and_few_elements_are_left_alone(
    order: Any, files: list[str]
) -> None:
    """A batch that sorts its files first is no pattern, and two are not worth it."""
    script = Script(order=order)
    for _ in range(3):
        script.batch(files)
    assert script.begun == []


def test_an_element_skipped_is_not_mixed_up() -> None:
    """A result is handed out only for the very element it was made for."""
    script = Script()
    script.batch(["a", "b", "c", "d"])
    script.order = lambda files: files[1:]
    assert [found[1] for found in script.batch(["e", "f", "g", "h"])] == list("fgh")


def test_an_error_comes_from_the_plain_call() -> None:
    """The element that fails raises where it would have."""
    script = Script(begin=False)
    script.batch(["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="broken"):
        script.batch(["e", "broken", "g", "h"])
    assert not script.fanout.inside()


def test_workers_that_cannot_be_had_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is loaded plainly, and one sentence says why."""
    script = Script()
    script.batch(["a", "b", "c", "d"])

    def refuse(pattern: Pattern, calls: list[Call]) -> Future[list[Any]]:
        raise StrategyError("no process can be started here")

    monkeypatch.setattr(script.fanout, "_submit", refuse)
    for _ in range(2):
        assert script.batch(["e", "f", "g", "h"])[0] == ("plain", "e", 16)
    assert script.said == [
        "its elements cannot be loaded at once: no process can be started here"
    ]
