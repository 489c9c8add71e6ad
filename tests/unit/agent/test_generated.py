"""Code that is made from text."""

from __future__ import annotations

import ast

import pytest

from debottleneck.agent import generated


def test_a_thread_that_parses_at_the_same_time_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CPython refuses such a tree with a SystemError now and then."""
    parse, errors = ast.parse, [SystemError("AST constructor recursion depth mismatch")]

    def refusing(*given: str) -> ast.Module:
        if errors:
            raise errors.pop()
        return parse(*given)

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", refusing)
        (made,) = generated.parsed("$x = $VALUE", VALUE=ast.Constant(3))
    assert (made.targets[0].id, made.value.value) == (".x", 3)
    assert not errors
