"""Three threads take turns at a lock of the kind named; who has it is written down."""

from __future__ import annotations

import ctypes
import json
import logging
import queue
import random
import sys
import threading
import time

from debottleneck.agent import layout

truth = ctypes.c_int64()
told: dict[str, object] = {}


class Guard:
    def __init__(self) -> None:
        self.name, self.lock = "guard", threading.Lock()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *error: object) -> None:
        self.lock.release()


def hold() -> None:
    truth.value = threading.get_native_id()
    time.sleep(0.01)
    truth.value = 0


def within(guard: object) -> None:
    with guard:
        hold()


def bare(guard: object) -> None:
    guard.acquire()
    hold()
    guard.release()


def tried(guard: object) -> None:
    guard.acquire()
    try:
        hold()
    finally:
        guard.release()


def nested(guard: object) -> None:
    with threading.Lock(), guard, threading.Lock():
        try:
            hold()
        finally:
            time.sleep(0)


def wait(_: object) -> None:
    truth.value = -1
    threading.Event().wait(0.02)


def meet(barrier: threading.Barrier) -> None:
    truth.value = -1
    time.sleep(0.01 * random.random())
    barrier.wait()


LOCKS = {
    "lock": (within, threading.Lock()),
    "rlock": (within, threading.RLock()),
    "condition": (within, threading.Condition()),
    "guard": (within, Guard()),
    "queue": (within, queue.Queue().not_empty),
    "handler": (bare, logging.StreamHandler()),
    "nested": (nested, threading.Lock()),
    "event": (wait, None),
    "bare": (bare, threading.Lock()),
    "tried": (tried, threading.Lock()),
    "barrier": (meet, threading.Barrier(3)),
    "semaphore": (within, threading.Semaphore()),
}


def locate() -> None:
    told["layout"] = layout.locate()


def run(turn: object, guard: object) -> None:
    while True:
        turn(guard)
        time.sleep(0.001)


locate()
threads = [
    threading.Thread(target=run, args=LOCKS[sys.argv[1]], daemon=True) for _ in range(3)
]
for thread in threads:
    thread.start()
told["tids"] = [thread.native_id for thread in threads]
told["truth"] = ctypes.addressof(truth)
print(json.dumps(told), flush=True)
sys.stdin.read()
