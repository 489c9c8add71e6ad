"""Who holds a lock, told from memory that may change while it is read."""

import os
import random
import sys

import pytest

from debottleneck.collect.holders import Holders, Layout
from debottleneck.collect.proc import GilPlace, GilReader

LAYOUT = Layout(*[8 * number for number in range(1, 18)], inline=1)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_read_no_holder_is_made_up(seed: int) -> None:
    """Words that are no addresses, bits that are no code: nothing is told, no error."""
    draws = random.Random(seed)

    def read(address: int, size: int) -> bytes:
        if address < 0 or draws.random() < 0.1:
            return b""
        small = draws.random() < 0.5
        words = [
            draws.randrange(64 if small else 1 << 64) for _ in range(size // 8 + 1)
        ]
        return b"".join(word.to_bytes(8, "little") for word in words)[:size]

    holders = Holders(read, LAYOUT)
    for waiter in range(64):
        found = holders.holder(waiter, draws.randrange(1 << 64))
        assert found is None or found.tid == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/mem")
def test_what_is_no_address_cannot_be_read() -> None:
    """A pointer that was overwritten may have its highest bit set."""
    reader = GilReader(os.getpid(), GilPlace(0, 0))
    assert reader.read(1 << 63, 8) == b""
    assert reader.read((1 << 64) - 8, 8) == b""
    reader.close()
