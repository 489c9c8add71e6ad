"""Tracebacks as the plain loop would give them, for what was raised ahead of it."""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator, Sequence
from typing import Any

from debottleneck.agent.generated import codes_of, parsed
from debottleneck.strategies.rewriting.flatten import Line

Span = tuple[int, int, int, int]
"""The first and last line, the first and last column."""


def _frames(trace: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def generated_in(error: BaseException) -> types.TracebackType | None:
    """The innermost frame of a function that was generated."""
    names = (".index", ".load")
    frames = [*_frames(error.__traceback__)]
    return next((f for f in frames[::-1] if f.tb_frame.f_code.co_name in names), None)


def own_trace(
    error: BaseException, lines: Sequence[Line]
) -> types.TracebackType | None:
    """The traceback from what a line called on; of the line, the loop's frame tells."""
    found = error.__traceback__
    own = generated_in(error)
    if own is not None:
        found = own.tb_next
        span, file = _span(own), own.tb_frame.f_code.co_filename
        for name, call in reversed(_opened_at(span, lines)):
            found = _traced(file, name, span if call is None else _span_of(call), found)
    return found


def _opened_at(
    span: Span, lines: Sequence[Line]
) -> Sequence[tuple[str, ast.expr | None]]:
    """The functions in which something stands that was opened."""
    for line in lines:
        first, last, *_ = _span_of(line.node)
        if line.through and first <= span[0] <= last:
            return line.through
    return ()


def _traced(
    file: str, name: str, span: Span, rest: types.TracebackType | None
) -> types.TracebackType:
    """A traceback whose first frame stands there, in a function of that name."""
    first, last, column, end = span
    function = parsed("def frame(error): raise error")[0]
    for part in ast.walk(function):
        if isinstance(part, ast.stmt | ast.expr | ast.arg):
            part.lineno, part.end_lineno = first, last
            part.col_offset, part.end_col_offset = column, end
    code = codes_of([function], file)[0]
    made: Any = types.FunctionType(code.replace(co_name=name), {})
    try:
        made(StopAsyncIteration())
    except StopAsyncIteration as error:
        trace = error.__traceback__
        assert trace is not None
        assert trace.tb_next is not None
        inner = trace.tb_next
    return types.TracebackType(rest, inner.tb_frame, inner.tb_lasti, first)


def _span(trace: types.TracebackType) -> Span:
    positions = [*trace.tb_frame.f_code.co_positions()][trace.tb_lasti // 2]
    first, last, column, end = positions
    line = trace.tb_lineno or first or 1
    return line, last or line, column or 0, end or 0


def _span_of(node: Any) -> Span:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
