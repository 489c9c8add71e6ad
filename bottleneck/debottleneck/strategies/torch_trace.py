"""The graph of a module's layers by `torch.fx`, without touching the module."""

from __future__ import annotations

import inspect
import threading
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

    The arguments with defaults have these values. A stand-in that shares the tensors is
    traced, so that a forward that sets attributes spoils none of the module's.

    Raises:
        StrategyError: Forward cannot be followed, or has effects beside its result.
    """
    _refuse_hooks(module)
    twins: dict[int, Any] = {}
    twin = _twin(module, twins)
    fixed = optional_arguments(module)
    beside = _Beside(module)
    streams = randomness.streams()
    before = randomness.states(streams)
    try:
        graph = _tracer().trace(twin, concrete_args=fixed or None)
    except _UNTRACEABLE as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise StrategyError(
            f"torch.fx cannot follow forward of {name_of(module)}: {first}", REMEDY
        ) from error
    finally:
        changed = beside.restore()
    if changed:
        raise StrategyError(
            f"forward of {name_of(module)} changes {changed!r}, which is not its own",
            "let forward only return, or give parallel_forward the branches",
        )
    drawn = randomness.states(streams)
    if drawn != before:
        randomness.take_over(streams, before, drawn)
        raise StrategyError(
            f"forward of {name_of(module)} draws random numbers", REMEDY
        )
    for original in module.modules():
        changed = _changed(original, twins[id(original)])
        if changed.startswith("_tensor_constant"):
            raise StrategyError(
                f"forward of {name_of(module)} makes a tensor without its arguments",
                "make it once, as a buffer",
            )
        if changed:
            raise StrategyError(
                f"forward of {name_of(original)} changes its {changed!r}",
                "let forward only return, or give parallel_forward the branches",
            )
    return _without_checks(graph)


class _Beside:
    """What forwards may change beside their modules: of their classes and globals.

    Args:
        module: Its parts' too; names, and what containers behind them hold, are kept.
    """

    def __init__(self, module: Any) -> None:
        self._kept: list[tuple[Any, str, Any, Any]] = []
        kinds = {kind for part in module.modules() for kind in type(part).__mro__}
        for kind in kinds:
            forward = vars(kind).get("forward")
            if kind.__module__.startswith("torch.") or not inspect.isfunction(forward):
                continue
            for name, value in vars(kind).items():
                self._keep(kind, name, value)
            for name in forward.__code__.co_names:
                if name in forward.__globals__:
                    self._keep(forward.__globals__, name, forward.__globals__[name])

    def _keep(self, place: Any, name: str, value: Any) -> None:
        inner = copy(value) if type(value) in _CONTAINERS else None
        self._kept.append((place, name, value, inner))

    def restore(self) -> str:
        """Put all back; the last name that had changed, or ""."""
        changed = ""
        for place, name, value, inner in self._kept:
            is_class = isinstance(place, type)
            if (vars(place) if is_class else place).get(name) is not value:
                changed = name
                if is_class:
                    setattr(place, name, value)
                else:
                    place[name] = value
            if inner is not None and _parts(inner) != _parts(value):
                changed = name
                value.clear()
                (value.extend if type(value) is list else value.update)(inner)
        return changed


def _parts(container: Any) -> list[int]:
    """Which objects it holds, of a dictionary under which keys."""
    if isinstance(container, dict):
        return [id(part) for pair in container.items() for part in pair]
    ids = map(id, container)
    return sorted(ids) if isinstance(container, set) else [*ids]


def name_of(module: Any) -> str:
    """How a module is called in a sentence."""
    return type(module).__name__


def hooked(module: Any) -> bool:
    """Whether hooks of the module, none of its parts', run around its forward."""
    return any(vars(module).get(name) for name in _HOOKS)


def all_hooked() -> bool:
    """Whether hooks run around every module's forward."""
    from torch.nn.modules import module as owner

    return any(getattr(owner, f"_global{name}", None) for name in _HOOKS)


def _refuse_hooks(module: Any) -> None:
    """A hook of a part may look at anything, in the order of the calls.

    Raises:
        StrategyError: A part of the module has hooks, or all modules have.
    """
    for name, part in module.named_modules():
        if part is not module and hooked(part):
            raise StrategyError(
                f"layer {name!r} has hooks, which would run in another order",
                "remove them, or put them on the whole module",
            )

    if all_hooked():
        raise StrategyError(
            "there are hooks for all modules, which would run in another order",
            "remove them",
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


def _twin(module: Any, twins: dict[int, Any]) -> Any:
    """The same tree of modules around the same tensors."""
    if id(module) not in twins:
        twin = twins[id(module)] = object.__new__(type(module))
        for name, value in vars(module).items():
            copied = value.copy() if isinstance(value, _CONTAINERS) else value
            vars(twin)[name] = copied
        for name, part in module._modules.items():
            if part is not None:
                twin._modules[name] = _twin(part, twins)
    return twins[id(module)]


def _changed(module: Any, twin: Any) -> str:
    """The name of an attribute that forward has changed, "" when there is none."""
    before, after = _held(module), _held(twin)
    names = (name for name in before | after if before.get(name) != after.get(name))
    return next(names, "")


def _held(module: Any) -> dict[str, object]:
    """What its attributes hold, and what containers in them do, by identity."""
    held: dict[str, object] = {}
    for name, value in vars(module).items():
        if name in ("_parameters", "_buffers"):
            held |= {inner: id(part) for inner, part in value.items()}
        elif name != "_modules":
            contained = isinstance(value, _CONTAINERS)
            held[name] = (type(value), _parts(value)) if contained else id(value)
    return held


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


def refuse_parameter_hooks(module: Any) -> None:
    """A hook would see a parameter's gradient in parts.

    Raises:
        StrategyError: A parameter has hooks.
    """
    for name, parameter in module.named_parameters():
        if parameter._backward_hooks:
            raise StrategyError(
                f"parameter {name!r} has hooks, which would see parts of its gradient",
                "remove them, or change the gradients after backward",
            )
