"""The graph of a module's layers by `torch.fx`, which leaves the module as it was."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable
from copy import copy
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies import randomness

_CONTAINERS = (list, dict, set)
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)

_UNTRACEABLE = (
    *(TypeError, ValueError, RuntimeError, AttributeError, AssertionError),
    *(LookupError, NameError, ArithmeticError),
)
"""What a forward may raise when it gets proxies instead of tensors."""

REMEDY = "call parallel_forward with the branches, or split forward into such modules"


def name_of(module: Any) -> str:
    """How a module is called in a sentence."""
    return type(module).__name__


def optional_arguments(module: Any) -> dict[str, Any]:
    """The arguments of forward that have a default, as forward would get them.

    Raises:
        StrategyError: It takes any number of arguments.
    """
    parameters = inspect.signature(type(module).forward).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise StrategyError(
            f"forward of {name_of(module)} takes any number of arguments", REMEDY
        )
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.default is not inspect.Parameter.empty
    }


def traced(module: Any) -> list[Any]:
    """The nodes of the module's graph, in the order of its forward.

    The arguments with defaults have these values.

    Raises:
        StrategyError: Forward cannot be followed, or has effects beside its result.
    """
    _refuse_hooks(module)
    name, fixed = name_of(module), optional_arguments(module)
    untouched = _Untouched(module)
    streams = randomness.streams()
    before = randomness.states(streams)
    try:
        graph = _tracer().trace(module, concrete_args=fixed or None)
    except _UNTRACEABLE as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise StrategyError(
            f"torch.fx cannot follow forward of {name}: {first}", REMEDY
        ) from error
    finally:
        changed = untouched.restore()
    drawn = randomness.states(streams)
    if drawn != before:
        randomness.take_over(streams, before, drawn)
        raise StrategyError(f"forward of {name} draws random numbers", REMEDY)
    if changed.startswith("_tensor_constant"):
        raise StrategyError(
            f"forward of {name} makes a tensor without its arguments",
            "make it once, as a buffer",
        )
    if changed:
        raise StrategyError(
            f"forward of {name} changes {changed!r}",
            "let forward only return, or give parallel_forward the branches",
        )
    return _without_checks(graph)


class _Untouched:
    """What forwards may change: attributes, those of their classes, and globals.

    Args:
        module: Its parts' too; names, and what containers behind them hold, are kept.
    """

    def __init__(self, module: Any) -> None:
        self._kept: list[tuple[Any, list[str] | None, dict[str, Any]]] = []
        self._inner: list[tuple[str, Any, Any]] = []
        parts = [*module.modules()]
        for part in parts:
            self._keep(vars(part))
        for kind in {kind for part in parts for kind in type(part).__mro__}:
            forward = vars(kind).get("forward")
            if inspect.isfunction(forward) and not kind.__module__.startswith("torch."):
                self._keep(kind)
                self._keep(forward.__globals__, [*forward.__code__.co_names])

    def _keep(self, place: Any, names: list[str] | None = None) -> None:
        space = _space(place)
        held = {n: space[n] for n in (space if names is None else names) if n in space}
        self._kept.append((place, names, held))
        for name, value in held.items():
            if type(value) in _CONTAINERS:
                self._inner.append((name, value, copy(value)))

    def restore(self) -> str:
        """Put all back; the last name that had changed, or ""."""
        changed = ""
        for place, names, held in self._kept:
            space = _space(place)
            for name in [*space] if names is None else names:
                if space.get(name, self) is not held.get(name, self):
                    changed = name
                    _put(place, name, held)
        for name, value, before in self._inner:
            if _parts(before) != _parts(value):
                changed = name
                value.clear()
                (value.extend if type(value) is list else value.update)(before)
        return changed


def _space(place: Any) -> Any:
    return vars(place) if isinstance(place, type) else place


def _put(place: Any, name: str, held: dict[str, Any]) -> None:
    if not isinstance(place, type):
        place.pop(name) if name not in held else place.update({name: held[name]})
    elif name in held:
        setattr(place, name, held[name])
    else:
        delattr(place, name)


def _parts(container: Iterable[Any]) -> list[int]:
    """Which objects it holds, of a dictionary under which keys."""
    if isinstance(container, dict):
        return [id(part) for pair in container.items() for part in pair]
    ids = map(id, container)
    return sorted(ids) if isinstance(container, set) else [*ids]


def hooked(module: Any) -> bool:
    """Whether hooks of the module, none of its parts', run around its forward."""
    return any(vars(module).get(name) for name in _HOOKS)


def all_hooked() -> bool:
    """Whether hooks run around every module's forward."""
    from torch.nn.modules import module as owner

    return any(getattr(owner, f"_global{name}", None) for name in _HOOKS)


def _refuse_hooks(module: Any) -> None:
    """A hook of a part may look at anything; a parameter's would see parts of it.

    Raises:
        StrategyError: A part or a parameter of the module has hooks, or all have.
    """
    parts, parameters = module.named_modules(), module.named_parameters()
    owners = [
        f"layer {n!r}" for n, part in parts if part is not module and hooked(part)
    ]
    owners += [f"parameter {n!r}" for n, value in parameters if value._backward_hooks]
    owners += ["every module"] if all_hooked() else []
    if owners:
        raise StrategyError(
            f"{owners[0]} has hooks, which would run in another order",
            "remove them, or put them on the whole module",
        )


def _tracer() -> Any:
    """Follows the calls of this thread; fx would follow those of all."""
    from torch.fx import Tracer

    tracer = Tracer()
    call, get, here = tracer.call_module, tracer.getattr, threading.get_ident()

    def call_module(part: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != here:
            return forward(*args, **kwargs)
        return call(part, forward, args, kwargs)

    def getattr_(name: str, value: Any, seen: dict[str, Any]) -> Any:
        return get(name, value, seen) if threading.get_ident() == here else value

    tracer.call_module, tracer.getattr = call_module, getattr_
    return tracer


def _without_checks(graph: Any) -> list[Any]:
    """The nodes but for what guards the arguments' defaults; the caller does."""
    for node in reversed(list(graph.nodes)):
        said = node.args[1] if len(node.args) == 2 else None
        if isinstance(said, str) and "has been specialized to have value" in said:
            guarded = node.args[0]
            graph.erase_node(node)
            if guarded.op == "call_function" and not guarded.users:
                graph.erase_node(guarded)
    return list(graph.nodes)
