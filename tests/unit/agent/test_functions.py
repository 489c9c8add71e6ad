"""Windows of yappi: what is not taken for a profiler of the script's own."""

from __future__ import annotations

import sys
from typing import Any, cast

import pytest

from debottleneck.agent.functions import Windows
from debottleneck.agent.opened import CallWatch
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import spool


class Writer:
    """Keeps the events that it is given."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write_event(self, event: dict[str, Any]) -> None:
        """One more."""
        self.events.append(event)


@pytest.mark.parametrize("is_ours", [True, False])
def test_only_the_script_s_own_profiler_is_blamed(is_ours: bool) -> None:
    """A window that meets the agent's own look at calls is left out without a word."""
    writer, watch = Writer(), CallWatch(lambda _: False)
    windows = Windows(cast(SpoolWriter, writer))
    before = sys.getprofile()
    if is_ours:
        sys.setprofile(None)
        assert watch.begin()
    else:
        sys.setprofile(lambda *_: None)
    try:
        windows.attend(spool.FUNCTIONS_WALL)
    finally:
        watch.end()
        sys.setprofile(before)
    reasons = [event["why"] for event in writer.events]
    assert reasons == ([] if is_ours else [PROFILER])


PROFILER = "the script uses a profile function of its own"
