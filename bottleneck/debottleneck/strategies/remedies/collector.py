"""`gc:freeze` and `gc:off`: garbage is collected where a step begins, or never.

Python collects whenever enough objects were made, in the middle of whatever runs, and
now and then looks at every object there is. `freeze` takes what is there when training
begins out of that for good, collects young objects at the boundaries of steps, and all
of them as often as costs a hundredth of the time.
"""

from __future__ import annotations

import gc
import os
from time import monotonic_ns

from debottleneck.strategies.remedies.hooks import Remedy
from debottleneck.strategies.rewriting.notes import ENGAGED, REFUSED, SUMMARY, Notes
from debottleneck.strategies.spec import GC, Strategy

SELDOM = 100
"""Times its own length that pass between two collections of everything."""

YOUNG = 1
"""The oldest generation that is collected at a boundary."""


class Collector(Remedy):
    """Collects in place of Python."""

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._never, self._notes = strategy.has("off"), notes
        self._pid, self._acts = 0, True
        self._last = self._length = 0
        self._count = self._spent = 0

    def stepped(self) -> None:
        """A step begins."""
        if self._pid != os.getpid():
            self._begin()
        elif self._acts and not self._never and not gc.isenabled():
            self._collect()

    def _begin(self) -> None:
        if self._pid:  # a forked child of the script
            return
        self._pid = os.getpid()
        if not gc.isenabled():
            text = "the script has switched the collector off itself"
            self._notes.say(GC, REFUSED, text)
            self._acts = False
            return
        begun = monotonic_ns()
        gc.collect()
        gc.disable()
        os.register_at_fork(after_in_child=gc.enable)
        if self._never:
            text = "garbage is not collected while it trains"
            lines = ["gc.disable()  # before the loop; what is a cycle stays"]
        else:
            gc.freeze()
            text = f"{gc.get_freeze_count():,} objects are frozen; younger ones are "
            text += "collected where a step begins"
            lines = [
                "gc.collect(), gc.freeze(), gc.disable()  # before the loop",
                f"gc.collect({YOUNG})  # at the end of each step",
                "gc.collect()  # now and then, for what lived longer than a step",
            ]
        self._last = monotonic_ns()
        self._length = self._last - begun
        self._notes.say(GC, ENGAGED, text)
        self._notes.keep(GC, "import gc", *lines)

    def _collect(self) -> None:
        begun = monotonic_ns()
        if begun - self._last > SELDOM * self._length:
            gc.collect()
            self._last = monotonic_ns()
            self._length = self._last - begun
        elif gc.get_count()[0] > gc.get_threshold()[0]:
            gc.collect(YOUNG)
        else:
            return
        self._count += 1
        self._spent += monotonic_ns() - begun

    def close(self) -> None:
        """Python collects again."""
        if not self._acts or self._pid != os.getpid() or gc.isenabled():
            return
        gc.enable()
        gc.unfreeze()
        if self._count:
            text = f"{self._count} collections between steps took "
            self._notes.say(GC, SUMMARY, f"{text}{self._spent / 1e6:.0f} ms in all")
