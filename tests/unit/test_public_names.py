"""What users import is what it says, whoever was imported before."""

from __future__ import annotations

import importlib
import types

import pytest

import debottleneck


@pytest.mark.parametrize("name", ["prefetch", "parallel_forward", "parallel_update"])
def test_a_strategy_is_a_function_not_its_module(name: str) -> None:
    """Its module has the same name, and importing that hides nothing."""
    importlib.import_module(f"debottleneck.strategies.{name}")
    strategies = importlib.import_module("debottleneck.strategies")
    assert isinstance(getattr(debottleneck, name), types.FunctionType)
    assert getattr(debottleneck, name) is getattr(strategies, name)


@pytest.mark.parametrize("name", ["BranchParallel"])
def test_torch_s_forms_are_there(name: str) -> None:
    """They are loaded when they are asked for."""
    pytest.importorskip("torch")
    assert callable(getattr(debottleneck, name))


@pytest.mark.parametrize("module", ["debottleneck", "debottleneck.strategies"])
def test_other_names_are_not(module: str) -> None:
    """A typo is an AttributeError that names the module."""
    with pytest.raises(AttributeError, match=f"{module}.*prefetsch"):
        importlib.import_module(module).prefetsch  # noqa: B018 - the access is the test
