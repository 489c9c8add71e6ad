"""PyTorch's stages, without name rules; only when the script imports torch.

`DataLoader` iteration is `load`, the outermost module call `forward` (`loss` for a
loss module), `Tensor.backward` and `autograd.backward` are `backward`, an
optimizer's `step` and `zero_grad` are `update`, `.to(device)` is `transfer`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import CodeType, FunctionType, ModuleType
from typing import Any

from debottleneck.agent import collectives, device, marks, torch_loaders
from debottleneck.agent.marks import enter, leave
from debottleneck.agent.patches import put, undo_with
from debottleneck.agent.sites import site_of
from debottleneck.agent.wrap import as_frame_of_ours, wrap
from debottleneck.agent.written import give_back
from debottleneck.recording import spool


def install(torch: ModuleType) -> None:
    """Patch the modules that `import torch` has just brought."""
    _modules(torch)
    _losses(torch)
    collectives.install(torch)  # before backward is marked: within that
    _autograd(torch)
    _optimizers(torch)
    torch_loaders.install(torch)
    device.install(torch)
    _transfers(torch)
    _compiler(torch)


def _site(stage: str, name: str) -> int:
    return site_of(stage, name, "", 0, "torch")


def _patch(place: Any, name: str, stage: str, label: str) -> None:
    plain = getattr(place, name, None)
    if plain is not None:
        put(place, name, wrap(plain, stage, kind="torch", name=label))


def _modules(torch: ModuleType) -> None:
    """Mark the outermost module call of each thread; inner ones cost a comparison."""
    module = torch.nn.Module
    loss_kind = torch.nn.modules.loss._Loss
    plain = module.__call__
    local = threading.local()
    forward = wrap(plain, "forward", kind="torch", name="torch.nn.Module.__call__")
    loss = wrap(plain, "loss", kind="torch", name="torch.nn loss module")

    @wraps(plain)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(local, "inside", False) and not isinstance(self, loss_kind):
            return plain(self, *args, **kwargs)
        before, local.inside = getattr(local, "inside", False), True
        try:
            marked = loss if isinstance(self, loss_kind) else forward
            return marked(self, *args, **kwargs)
        finally:
            local.inside = before

    put(module, "__call__", as_frame_of_ours(call))


def _losses(torch: ModuleType) -> None:
    """What can sum or average over a batch is a loss."""
    functional = torch.nn.functional
    for name, function in [*vars(functional).items()]:
        code = getattr(function, "__code__", None)
        if code is not None and "reduction" in code.co_varnames and name[0] != "_":
            _patch(functional, name, "loss", f"torch.nn.functional.{name}")


def _autograd(torch: ModuleType) -> None:
    _patch(torch.Tensor, "backward", "backward", "torch.Tensor.backward")
    _patch(torch.autograd, "backward", "backward", "torch.autograd.backward")
    _patch(torch.autograd, "grad", "backward", "torch.autograd.grad")


def _optimizers(torch: ModuleType) -> None:
    """Each optimizer class wraps its own `step` when first made; be around that."""
    optimizer = torch.optim.Optimizer
    _patch(optimizer, "zero_grad", "update", "torch.optim.Optimizer.zero_grad")
    around = _around(optimizer.profile_hook_step)
    put(optimizer, "profile_hook_step", staticmethod(around))
    for made in _derived(optimizer):  # before us: its `step` is wrapped already
        if getattr(vars(made).get("step"), "hooked", False):
            put(made, "step", _stepping(made.step))
    undo_with(partial(_plain_steps, optimizer))


def _derived(base: type) -> list[Any]:
    """Classes derived from it, at any depth."""
    below: list[Any] = base.__subclasses__()
    return [*below, *(each for cls in below for each in _derived(cls))]


def _plain_steps(optimizer: type) -> None:
    """Those of classes that were first made since then lose our part."""
    for made in _derived(optimizer):
        step = vars(made).get("step")
        code = getattr(step, "__code__", None)
        if getattr(code, "co_filename", "") == spool.FRAME_FILE:
            made.step = step.__wrapped__


def _around(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def profile_hook_step(function: Callable[..., Any]) -> Callable[..., Any]:
        return _stepping(plain(function))

    return profile_hook_step


def _stepping(stepped: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stepped)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (kind := type(self)) not in _stepped:
            _stepped.add(kind)
            _tell_forms(kind, self.defaults)
        token = enter(_site("update", f"torch.optim.{kind.__name__}.step"))
        try:
            return stepped(self, *args, **kwargs)
        finally:
            leave(token)

    return as_frame_of_ours(step)


_stepped: set[type] = set()
"""Classes of optimizers that have made a step."""


def _tell_forms(kind: type, settings: Mapping[str, Any]) -> None:
    """Which forms of one operation the class has, and which of them are asked for."""
    known = inspect.signature(kind).parameters
    offers = [form for form in ("fused", "foreach") if form in known]
    asked = [form for form in offers if settings.get(form)]
    told = {"name": kind.__name__, "offers": offers, "asked": asked}
    marks.note({"event": spool.OPTIMIZER, **told})


def _transfers(torch: ModuleType) -> None:
    for owner, label in ((torch.Tensor, "torch.Tensor"), (torch.nn.Module, "Module")):
        to = _to(owner.to, torch.device, _site("transfer", f"{label}.to"))
        put(owner, "to", to)
        _patch(owner, "cuda", "transfer", f"{label}.cuda")


def _to(plain: Callable[..., Any], device: type, site: int) -> Callable[..., Any]:
    """Marks `.to(device)`, not `.to(dtype)`."""

    @wraps(plain)
    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        where = args[0] if args else kwargs.get("device")
        if not isinstance(where, (str, int, device)):
            return plain(self, *args, **kwargs)
        token = enter(site)
        try:
            return plain(self, *args, **kwargs)
        finally:
            leave(token)

    return as_frame_of_ours(to)


def _compiler(torch: ModuleType) -> None:
    """`torch.compile` reads bytecode: the user's own, with marks around the result."""
    plain = getattr(torch, "compile", None)
    if plain is None:
        return

    @wraps(plain)
    def compile(model: Any = None, *args: Any, **kwargs: Any) -> Any:
        given = give_back(_codes(torch, model))
        compiled = plain(model, *args, **kwargs)
        marking = given.get(model) if isinstance(model, FunctionType) else None
        return compiled if marking is None else marking.around(compiled)

    put(torch, "compile", as_frame_of_ours(compile))


def _codes(torch: ModuleType, model: Any) -> list[CodeType]:
    """Of a function, a method or a module with those inside it."""
    model = getattr(model, "__self__", model)
    if isinstance(model, torch.nn.Module):
        functions = [type(module).forward for module in model.modules()]
    else:
        functions = [model]
    found = [getattr(inspect.unwrap(f), "__code__", None) for f in functions if f]
    return [code for code in found if code is not None]
