"""What is read of another process's code objects: where frames stand in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType


@dataclass(frozen=True)
class Code:
    """What is known of a code object."""

    function: str
    file: str
    slots: int
    variables: int
    depths: tuple[tuple[int, int, int], ...]
    lines: tuple[tuple[int, int, int | None], ...]

    def line(self, at: int) -> int:
        """Of the instruction at that offset, 0 if none."""
        of = (n for begin, end, n in self.lines if begin <= at < end and n)
        return next(of, 0)


def depths(table: bytes) -> Iterator[tuple[int, int, int]]:
    """Entries of an exception table: from, to (in bytes), depth of the value stack.

    Source: CPython's Objects/exception_handling_notes.txt.
    """
    numbers = iter(table)

    def number() -> int:
        byte = next(numbers)
        value = byte & 63
        while byte & 64:
            byte = next(numbers)
            value = value << 6 | byte & 63
        return value

    while True:
        try:
            begin, length, _, depth = number(), number(), number(), number()
        except StopIteration:
            return
        yield 2 * begin, 2 * (begin + length), depth >> 1


def lines_of(table: bytes, first: int) -> Iterator[tuple[int, int, int | None]]:
    """Entries of a line table: from, to (in bytes), line."""
    return _EMPTY.replace(co_linetable=table, co_firstlineno=first).co_lines()


def _nothing() -> None:
    """Stands for the code objects of another process."""


_EMPTY: CodeType = _nothing.__code__
