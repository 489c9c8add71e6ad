"""What the machine costs a loop: cores, and the prices of handing work over.

`calibration` measures the prices once a machine and interpreter; a recording carries
them, so that it can be analysed elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from debottleneck.recording import checked
from debottleneck.recording.checked import Between

Cores = Annotated[float, Between(0.001, 2**20)]
Price = Annotated[float, Between(0, 1e12)]
Slow = Annotated[float, Between(0.001, 1e6)]


@dataclass(frozen=True)
class Machine:
    """Cores, and what it costs to use several of them.

    The defaults are those of an ordinary server, for recordings without a
    calibration; `measured` is then "".

    Attributes:
        cores: Usable ones, a CPU quota included.
        gil: False for a free-threaded interpreter.
        switch_interval_ns: After so long a waiter asks for the GIL.
        wake_ns: From waking a thread until it runs, on a core that went idle.
        wake_soon_ns: The same where it has waited for less than `awake_ns`.
        awake_ns: So long an idle core is ready to go on at once.
        signal_ns: What waking another thread costs the one that does it.
        cold_ns: What Python code loses at most that begins on a core that was idle.
        refill_most_ns: The same where the GIL came from another core.
        call_ns: A call given to a pool thread and its result taken: CPU time of both.
        message_ns: The same to a process: CPU time of each side.
        copy_ns_per_byte: An array into shared memory, CPU time.
        slow_python: How many times as long Python code takes with all cores busy.
        slow_compute: Native code that stays in its caches, likewise.
        slow_memory: Native code that streams through memory, likewise.
        slow_native: Native code of the loop at hand: between the two.
        measured: When it was measured, ISO 8601; "" for assumed prices.
    """

    cores: Cores = 1.0
    gil: bool = True
    switch_interval_ns: Price = 5e6
    wake_ns: Price = 45e3
    wake_soon_ns: Price = 8e3
    awake_ns: Price = 200e3
    signal_ns: Price = 6e3
    cold_ns: Price = 80e3
    refill_most_ns: Price = 40e3
    call_ns: Price = 40e3
    message_ns: Price = 60e3
    copy_ns_per_byte: Price = 0.2
    slow_python: Slow = 1.02
    slow_compute: Slow = 1.03
    slow_memory: Slow = 2.0
    slow_native: Slow = 1.1
    measured: str = ""

    def paces(self, computing: int) -> tuple[float, float]:
        """How fast Python and native code run, 1 for a thread alone on the machine.

        Args:
            computing: Threads that want a core at the same time.
        """
        if computing <= 1:
            return min(self.cores, 1.0), min(self.cores, 1.0)
        share = min(1.0, self.cores / computing)
        busy = min(float(computing), self.cores)
        load = (busy - 1) / (self.cores - 1) if self.cores > 1 else 0.0
        python = 1 + (self.slow_python - 1) * load
        native = 1 + (self.slow_native - 1) * load
        return share / python, share / native

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Machine:
        """From what `as_dict` made; names that this version does not know are left out.

        Raises:
            Unfit: A value is no number, or out of range.
        """
        return checked.read(cls, dict(raw))
