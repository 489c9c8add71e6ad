"""Attributes, looked up without running any code."""

from __future__ import annotations

import inspect
import types

from debottleneck.agent.discover import is_own
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.foreign import Follows
from debottleneck.strategies.rewriting.touching import Touching
from debottleneck.strategies.rewriting.values import (
    NOTHING,
    Made,
    Method,
    Super,
    Value,
    is_users,
    joined,
    kind_of,
    method_or,
    own_function,
)


def attribute(callees: Follows, touch: Touching, base: Value, name: str) -> Value:
    """An attribute of a value, looked up where the object has it."""
    found = [_attribute(callees, touch, one, name) for one in base.each]
    held = joined(found) if len(found) > 1 else found[0]
    for one in base.each:
        owner = (
            vars(one.sample) if isinstance(one.sample, types.ModuleType) else one.sample
        )
        held = touch.as_bound(owner, name, held)
    return held


def _attribute(callees: Follows, touch: Touching, base: Value, name: str) -> Value:
    sample, kind = base.sample, kind_of(base)
    if isinstance(sample, types.ModuleType):
        file = getattr(sample, "__file__", None)
        if file is None or is_own(file, sample.__name__):
            touch.note(vars(sample), name, write=False)
        return Value.of(getattr(sample, name, None))
    if isinstance(sample, Super):
        return _above(touch, sample, name)
    if name == "__class__":
        return Value(kind)
    own = None if isinstance(sample, Made) else getattr(sample, "__dict__", None)
    if known.is_module_of_torch(sample):
        own = next((m for m in known.members(sample) if name in m), own)
    if isinstance(own, dict | types.MappingProxyType) and name in own:
        touch.read(base, name)
        if any(base.exactly(root) for root in base.roots) or isinstance(sample, type):
            return method_or(own[name], base)
        return Value(own[name], base.roots)
    if isinstance(sample, type):
        _note_kinds(touch, sample, name)
        return method_or(inspect.getattr_static(sample, name, None), base)
    return _of_kind(callees, touch, base, name)


def _of_kind(callees: Follows, touch: Touching, base: Value, name: str) -> Value:
    """What an instance has by its class."""
    sample, kind = base.sample, kind_of(base)
    static = inspect.getattr_static(kind, name, None)
    getter = static.fget if isinstance(static, property) else None
    if getter is None:
        getter = inspect.getattr_static(type(static), "__get__", None)
    if not isinstance(static, types.FunctionType) and own_function(getter):
        given = [base] if isinstance(static, property) else [Value.of(static), base]
        return callees.invoke(getter, given, {})
    if isinstance(static, property):
        touch.read(base)
        return Value(NOTHING, base.roots)
    if isinstance(static, types.MemberDescriptorType) and base.roots:
        touch.read(base, name)
        return Value(getattr(sample, name, NOTHING), base.roots)
    if isinstance(static, types.GetSetDescriptorType) or sample is NOTHING:
        return Value(Method(None, base, name), base.roots)
    touch.read(base, name)
    _note_kinds(touch, kind, name)
    if static is None:
        fallback = inspect.getattr_static(kind, "__getattr__", None)
        if own_function(fallback):
            return callees.invoke(fallback, [base, Value(name)], {})
        if callable(fallback):
            return Value(Method(None, base, name), base.roots)
    return method_or(static, base, name)


def set_attribute(
    callees: Follows, touch: Touching, base: Value, name: str, value: Value
) -> None:
    """An attribute of a value is bound."""
    for one in base.each:
        kind = kind_of(one)
        module = isinstance(one.sample, types.ModuleType)
        touch.bind(vars(one.sample) if module else one.sample, name, value)
        static = inspect.getattr_static(kind, name, None)
        setter = inspect.getattr_static(kind, "__setattr__", None)
        if own_function(setter):
            callees.invoke(setter, [one, Value(name), value], {})
        elif isinstance(static, property) and own_function(static.fset):
            callees.invoke(static.fset, [one, value], {})
        else:
            setter = inspect.getattr_static(type(static), "__set__", None)
            if own_function(setter):
                callees.invoke(setter, [Value.of(static), one, value], {})
    touch.change(base, name)


def _note_kinds(touch: Touching, kind: type, name: str) -> None:
    """A class is asked for an attribute, and those that it comes from."""
    for each in kind.__mro__:
        if is_users(each):
            touch.note(each, name, write=False)
        if name in vars(each):
            return


def _above(touch: Touching, sample: Super, name: str) -> Value:
    """What `super()` gives."""
    kinds = kind_of(sample.receiver).__mro__
    after = kinds.index(sample.kind) + 1 if sample.kind in kinds else 0
    for kind in kinds[after:]:
        if name in vars(kind):
            if is_users(kind):
                touch.note(kind, name, write=False)
            return method_or(vars(kind)[name], sample.receiver, name)
    return Value(NOTHING, sample.receiver.roots)
