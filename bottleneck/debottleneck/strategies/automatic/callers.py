"""Where calls are made ahead: threads of this process, or forked processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from debottleneck.agent.calls import Call, Place
from debottleneck.strategies.automatic.replicas import Replicas
from debottleneck.strategies.pools import own


class ThreadCaller:
    """Calls a function in threads of its own.

    Args:
        function: Marks its stage, so that the threads show as loaders.
        workers: Most calls at once.
        what: Names the threads.
    """

    def __init__(self, function: Callable[..., Any], workers: int, what: str) -> None:
        self._function = function
        self._pool = own(workers, what)
        self._replicas = Replicas()

    def submit(self, call: Call) -> Future[Any]:
        """Begin one call."""
        return self._pool.submit(self._made, call)

    def submit_all(self, calls: list[Call]) -> Future[list[Any]]:
        """Begin calls that one thread makes, up to the first that fails."""
        return self._pool.submit(up_to_failure, self._made, calls)

    def _made(self, call: Call) -> Any:
        mine = self._replicas.of(call)
        return self._function(*mine.args, **mine.kwargs)

    def close(self) -> None:
        """Drop what has not begun, wait for nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._replicas.close()


class ProcessCaller:
    """Calls a function in forked processes; only the number that advances is sent.

    Everything else, the function included, is as it was at the fork.

    Args:
        function: Marks its stage.
        template: One call, whose other arguments are kept.
        place: Where the number goes.
        workers: Processes.
        what: Names them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        template: Call,
        place: Place,
        workers: int,
        what: str,
    ) -> None:
        from debottleneck.strategies.process import Calls

        replicas = Replicas()

        def one(value: Any) -> Any:
            call = replicas.of(template.with_value(place, value))
            return function(*call.args, **call.kwargs)

        def made(values: list[Any], alone: bool) -> Any:
            return one(values[0]) if alone else up_to_failure(one, values)

        self._place = place
        self._calls = Calls(made, workers, what)

    def submit(self, call: Call) -> Future[Any]:
        """Begin one call."""
        return self._calls.submit(([call.items()[self._place]], True), {})

    def submit_all(self, calls: list[Call]) -> Future[list[Any]]:
        """Begin calls that one process makes, up to the first that fails."""
        values = [call.items()[self._place] for call in calls]
        return self._calls.submit((values, False), {})

    def close(self) -> None:
        """End the processes."""
        self._calls.close()


def up_to_failure(make: Callable[[Any], Any], calls: list[Any]) -> list[Any]:
    """Results of calls in a row; one that fails is made again where it belongs."""
    results: list[Any] = []
    for call in calls:
        try:
            results.append(make(call))
        except BaseException:  # noqa: BLE001 - the trainer's own call shows it
            break
    return results
