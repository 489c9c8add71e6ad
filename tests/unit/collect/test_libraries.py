"""In which library a thread waits, told by the addresses on its stack."""

from __future__ import annotations

import struct

import pytest

from debottleneck.collect import proc
from debottleneck.collect.proc import Libraries

MAPS = [
    (0x1000, 0x2000, "/usr/bin/python3.11"),
    (0x3000, 0x4000, "/usr/lib/libc.so.6"),
    (0x5000, 0x6000, "/site-packages/torch/lib/libgomp-a34b3233.so.1"),
    (0x7000, 0x8000, "/site-packages/numpy.libs/libscipy_openblas64_-56d6093b.so"),
    (0x9000, 0xA000, "[vdso]"),
]


@pytest.mark.parametrize(
    ("at", "stack", "library"),
    [
        (0x5100, (), "libgomp.so"),
        (0x3100, (7, 0x3200, 0x2FFF, 0x7100, 0x5100), "libscipy_openblas64_.so"),
        (0x9100, (0x3100, 0x1100, 0x5100), ""),
        (0x3100, (), ""),
    ],
)
def test_the_innermost_library_is_named(
    monkeypatch: pytest.MonkeyPatch, at: int, stack: tuple[int, ...], library: str
) -> None:
    """The system's own are passed by; behind the interpreter nobody looks."""
    monkeypatch.setattr(proc, "_maps", lambda pid, kind: MAPS)
    raw = struct.pack(f"<{len(stack)}Q", *stack)
    libraries = Libraries(1, lambda address, size: raw if address == 64 else b"")
    assert libraries.waiting_in(64, at) == library
