"""Exceptions of the script's handlers of signals, raised while our code runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from debottleneck.agent.evidence import Search
from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.opened import Opening

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGALRM")


class LateError(Exception):
    """Raised by a handler."""


def by_function(number: int, frame: FrameType | None) -> None:
    """A handler."""
    raise LateError


def of_any(*given: Any) -> None:
    """One that looks at nothing."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    raise LateError


class Once:
    """Handlers that are methods."""

    def late(self, number: int, frame: FrameType | None) -> None:
        """One."""
        self.deeper()

    def deeper(self) -> None:
        """What it calls."""
        raise LateError


@pytest.fixture(params=[by_function, of_any, Once().late], ids=lambda one: one.__name__)
def alarm(request: pytest.FixtureRequest) -> Any:
    """Raises a signal whose handler raises."""
    before = signal.signal(signal.SIGALRM, request.param)
    yield lambda *given: signal.raise_signal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, before)


def test_it_goes_on_to_the_script(alarm: Callable[..., None]) -> None:
    """Our own guards keep what fails in our code, and let the script's pass."""
    search = Search(None, Opening(lambda path: True))
    search._is_ours = alarm  # type: ignore[method-assign,assignment]
    with pytest.raises(LateError):
        search.happened(1)


def test_what_we_called_is_ours() -> None:
    """A library that fails is no handler, whatever it is given."""

    def broken(frame: FrameType) -> None:
        raise ValueError(frame)

    for given in (sys._getframe(0).f_back, None):
        with pytest.raises(ValueError) as caught:
            broken(given)  # type: ignore[arg-type]
        assert not of_a_handler(caught.value)
