"""Machines for simulations whose answer is known exactly."""

from __future__ import annotations

from debottleneck.recording.machine import Machine

FREE = Machine(
    cores=2,
    wake_ns=0,
    wake_soon_ns=0,
    signal_ns=0,
    cold_ns=0,
    refill_most_ns=0,
    call_ns=0,
    message_ns=0,
    copy_ns_per_byte=0,
    slow_python=1,
    slow_native=1,
)
"""A machine on which nothing but work takes time."""
