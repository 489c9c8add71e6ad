"""Attributes, looked up without running any code."""

from __future__ import annotations

import inspect
import types

from debottleneck.agent.discover import is_own
from debottleneck.strategies.rewriting.foreign import Follows
from debottleneck.strategies.rewriting.touching import Touching
from debottleneck.strategies.rewriting.values import (
    NOTHING,
    Method,
    Value,
    kind_of,
    method_or,
    own_function,
)


def attribute(callees: Follows, touch: Touching, base: Value, name: str) -> Value:
    """An attribute of a value, looked up where the object has it."""
    sample = base.sample
    if isinstance(sample, types.ModuleType):
        if is_own(getattr(sample, "__file__", None) or "<none>", sample.__name__):
            touch.note(vars(sample), name, write=False)
        return Value.of(getattr(sample, name, None))
    own = getattr(sample, "__dict__", None)
    if isinstance(own, dict | types.MappingProxyType) and name in own:
        touch.read(base, name)
        if any(base.exactly(root) for root in base.roots):
            return method_or(own[name], base)
        return Value(own[name], base.roots)
    if isinstance(sample, type):
        return method_or(inspect.getattr_static(sample, name, None), base)
    static = inspect.getattr_static(kind_of(base), name, None)
    if isinstance(static, property):
        if own_function(static.fget):
            return callees.invoke(static.fget, [base], {})
        touch.read(base)
        return Value(NOTHING, base.roots)
    if isinstance(static, types.MemberDescriptorType) and base.roots:
        touch.read(base, name)
        return Value(getattr(sample, name, NOTHING), base.roots)
    if isinstance(static, types.GetSetDescriptorType) or sample is NOTHING:
        return Value(Method(None, base, name), base.roots)
    if static is None and callable(getattr(type(sample), "__getattr__", None)):
        return Value(Method(None, base, name), base.roots)
    return method_or(static, base, name)
