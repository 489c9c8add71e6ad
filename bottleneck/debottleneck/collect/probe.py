"""Measures the machine, in the interpreter that runs the script. Prints JSON.

Run by its path, so that the target's Python needs nothing installed: standard library
only, and NumPy for the pace of matrix products where it is there. Each figure is the
median of repetitions, as other work may run beside it.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import mmap
import os
import pickle
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

WORK_S = 0.06
"""Each pace is taken over so long."""

PAIRS = 5
"""Times that work alone and work on all cores are measured in turn."""

BLOCK_BYTES = 32 << 20
"""More than a core's own caches hold, for what streams through memory."""

MACHINERY = 5.0
"""What a strategy does around a message costs a multiple of the message: futures,
threads that receive, shared memory (measured: 13 and 60 to 70 microseconds a side)."""

Work = Callable[[], object]


def main() -> None:
    """Measure all that this system lets itself be asked."""
    cores = int(sys.argv[1])
    spent, delay = message()
    prices = {
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "switch_interval_ns": sys.getswitchinterval() * 1e9,
        **waking(),
        **handing_over(),
        "call_ns": call_ns(),
        "message_ns": spent * MACHINERY,
        "wake_soon_ns": 2 * delay,
        "copy_ns_per_byte": copy_ns_per_byte(),
        **(slow_downs(cores) if cores > 1 else {}),
    }
    json.dump(prices, sys.stdout)


def waking(times: int = 120) -> dict[str, float]:
    """How long a waiting thread takes to come, what waking it costs, what it finds.

    The thread waits some milliseconds, so that its core goes idle and its caches are
    another's; its first piece of Python code then takes longer than its second.
    """
    call, done, begun = threading.Lock(), threading.Lock(), [0]
    woken, costs, lost = [], [], []
    for _ in range(50):
        _some_python()
    call.acquire()
    done.acquire()

    def wait() -> None:
        for _ in range(times):
            call.acquire()
            woken.append(time.perf_counter_ns() - begun[0])
            first = _cpu_of(_some_python)
            lost.append(first - _cpu_of(_some_python))
            done.release()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    for _ in range(times):
        time.sleep(0.002)
        begun[0] = time.perf_counter_ns()
        call.release()
        costs.append(time.perf_counter_ns() - begun[0])
        done.acquire()
    thread.join()
    return {
        "wake_ns": median(woken),
        "signal_ns": median(costs),
        "cold_ns": max(median(lost), 0.0),
    }


def handing_over(cycles: int = 120, repeats: int = 15) -> dict[str, float]:
    """What Python code loses when the GIL came from another core.

    Two threads alternate Python code and hashing, which gives the GIL up, so that it
    changes hands about once a cycle; the kernel counts the waits.
    """
    data = b"\0" * 120_000
    costs = []

    def alternate() -> tuple[float, float]:
        waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        spent = time.thread_time_ns()
        for _ in range(cycles):
            _some_python()
            hashlib.sha256(data).digest()
        spent = time.thread_time_ns() - spent
        waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - waits
        return spent / cycles, waits / cycles

    with ThreadPoolExecutor(2) as pool:
        for _ in range(repeats):
            before, _ = pool.submit(alternate).result()
            both = [pool.submit(alternate) for _ in range(2)]
            spent, waits = map(sum, zip(*(f.result() for f in both), strict=True))
            after, _ = pool.submit(alternate).result()
            alone = (before + after) / 2
            costs.append((spent / 2 - alone) / max(waits / 2, 0.1))
    return {"refill_most_ns": max(median(costs), 0.0)}


def _some_python() -> None:
    """Some fifty microseconds of Python code that touches many objects."""
    pickle._Pickler(io.BytesIO(), 2).dump(_MANY)  # the pure one


_MANY = [{f"key {i}": (i, str(i), [i] * 3)} for i in range(4)]


def _cpu_of(work: Work) -> float:
    begun = time.thread_time_ns()
    work()
    return time.thread_time_ns() - begun


def _median_of(repeats: int, clock: Callable[[], int], work: Work) -> float:
    """What a call of `work` takes on that clock."""
    spans = []
    for _ in range(repeats):
        begun = clock()
        work()
        spans.append(clock() - begun)
    return median(spans)


def call_ns(times: int = 300) -> float:
    """CPU time of both threads for a call given to a pool and its result."""
    with ThreadPoolExecutor(1) as pool:

        def calls() -> None:
            for _ in range(times):
                pool.submit(int).result()

        calls()
        return _median_of(5, time.process_time_ns, calls) / times


def message(times: int = 300) -> tuple[float, float]:
    """CPU time of a small message to another process and back, and its delay, ns."""
    there, back = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        while text := os.read(there[0], 4096):
            if pickle.loads(text) is None:
                break
            os.write(back[1], pickle.dumps(("result", 1, [1, 2])))
        os._exit(0)
    delays, began = [], time.process_time_ns()
    for number in range(times):
        begun = time.perf_counter_ns()
        os.write(there[1], pickle.dumps(("call", number)))
        pickle.loads(os.read(back[0], 4096))
        delays.append(time.perf_counter_ns() - begun)
    spent = (time.process_time_ns() - began) / times
    os.write(there[1], pickle.dumps(None))
    os.waitpid(child, 0)
    for fd in (*there, *back):
        os.close(fd)
    return spent, max((median(delays) - spent) / 2, 0.0)


def copy_ns_per_byte() -> float:
    """Copying an array into memory that another process shares."""
    source = bytearray(BLOCK_BYTES)
    with mmap.mmap(-1, BLOCK_BYTES) as shared:

        def copy() -> None:
            shared[:] = source

        copy()
        return _median_of(5, time.process_time_ns, copy) / BLOCK_BYTES


def slow_downs(cores: int) -> dict[str, float]:
    """How many times as long work takes while every core does the same."""
    kinds = {
        "slow_python": _python,
        "slow_compute": _products(),
        "slow_memory": _stream(),
    }
    return {name: max(_slow_down(work, cores), 1.0) for name, work in kinds.items()}


def _slow_down(work: Work, cores: int) -> float:
    """Ratio of CPU time a unit of work, in pairs: on all cores, and alone."""
    _spend(work, 0.01)
    return median(_on_all(work, cores) / _spend(work, WORK_S) for _ in range(PAIRS))


def _spend(work: Work, seconds: float) -> float:
    """CPU time a call of `work`, called for so long."""
    ends, count, begun = time.monotonic() + seconds, 0, time.thread_time_ns()
    while not count or time.monotonic() < ends:  # a busy machine may be late already
        work()
        count += 1
    return (time.thread_time_ns() - begun) / count


def _on_all(work: Work, cores: int) -> float:
    children = []
    for _ in range(cores - 1):
        child = os.fork()
        if not child:
            _spend(work, 1.5 * WORK_S)
            os._exit(0)
        children.append(child)
    time.sleep(0.1 * WORK_S)
    spent = _spend(work, WORK_S)
    for child in children:
        os.waitpid(child, 0)
    return spent


def _python() -> int:
    return sum(value * value for value in range(400))


def _products() -> Work:
    """A matrix product, where NumPy is; else hashing what the caches hold."""
    try:
        import numpy as np
    except ImportError:
        data = b"\0" * 32768
        return lambda: hashlib.sha256(data).digest()
    matrix = np.ones((160, 160), np.float32)
    return lambda: matrix @ matrix


def _stream() -> Work:
    """Copies a large block; ctypes gives the GIL up meanwhile."""
    source, target = (
        ctypes.create_string_buffer(BLOCK_BYTES),
        ctypes.create_string_buffer(BLOCK_BYTES),
    )
    return lambda: ctypes.memmove(target, source, BLOCK_BYTES)


if __name__ == "__main__":
    main()
