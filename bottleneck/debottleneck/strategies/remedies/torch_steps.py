"""Parallel update for an unmodified script's torch optimizer: torch's own `foreach`.

It updates all parameters in a few operations, with the same bits; `fused`, in one, is
faster and rounds otherwise: that is for who asks for it. Whether a class can do it
here is tried on stand-ins for the parameters. It is set while a step is made and no
longer, so that groups, state dicts and whatever else the script looks at stay its own.
"""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.remedies.hooks import Remedy
from debottleneck.strategies.rewriting.notes import ENGAGED, REFUSED, SUMMARY, Notes
from debottleneck.strategies.spec import UPDATE, Strategy

FOREACH, FUSED = "foreach", "fused"
"""Settings of torch's optimizers."""

Group = dict[str, Any]


@dataclass
class _Stepping:
    """What is known of one optimizer.

    Attributes:
        optimizer: It, kept so that its address is not another one's.
        acts: Whether its steps take the form.
        parameters: How many it had when that was decided.
        unseen: Those that had no gradient then.
        plain: Settings of its groups while a step is made, to be put back.
        form: The setting.
    """

    optimizer: Any
    form: str = FOREACH
    acts: bool = False
    parameters: int = 0
    unseen: list[Any] = field(default_factory=list)
    plain: list[tuple[Group, Any]] = field(default_factory=list)

    def put_back(self) -> None:
        """The settings that the script gave the groups."""
        while self.plain:
            group, own = self.plain.pop()
            group[self.form] = own


class OptimizerSteps(Remedy):
    """Sets the form around every step, through torch's hooks for all optimizers."""

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._notes = notes
        self._form = FUSED if strategy.has(FUSED) else FOREACH
        self._stepping: dict[int, _Stepping] = {}
        self._handles: list[Any] = []
        self._count = 0

    def after_torch(self, torch: ModuleType) -> None:
        """Begin to act, also on optimizers that have been made."""
        from torch.optim import optimizer

        before = optimizer.register_optimizer_step_pre_hook(self._before)
        after = optimizer.register_optimizer_step_post_hook(self._after)
        self._handles = [before, after]

    def close(self) -> None:
        """Leave optimizers alone again, and say what it came to."""
        while self._handles:
            self._handles.pop().remove()
        if self._count:
            text = f"{self._count} optimizer steps were made with {self._form}=True"
            self._notes.say(UPDATE, SUMMARY, text, steps=self._count)
        self._stepping.clear()

    def _before(self, optimizer: Any, *_: Any) -> None:
        """A step begins."""
        stepping = self._stepping.setdefault(
            id(optimizer), _Stepping(optimizer, self._form)
        )
        stepping.put_back()  # the last step may have raised
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        if count != stepping.parameters or any(
            parameter.grad is not None for parameter in stepping.unseen
        ):
            self._decide(stepping, count)
        for group in optimizer.param_groups if stepping.acts else ():
            stepping.plain.append((group, group[self._form]))
            group[self._form] = True

    def _after(self, optimizer: Any, *_: Any) -> None:
        """A step has been made."""
        stepping = self._stepping.get(id(optimizer))
        if stepping is not None and stepping.plain:
            self._count += 1
            stepping.put_back()

    def _decide(self, stepping: _Stepping, count: int) -> None:
        """Whether its steps take the form from now on; says so."""
        optimizer = stepping.optimizer
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        unseen = [parameter for parameter in parameters if parameter.grad is None]
        stepping.acts = False
        if len(unseen) == count:  # the first closure is yet to be called
            return
        stepping.parameters, stepping.unseen = count, unseen
        try:
            check(optimizer, self._form)
        except StrategyError as error:
            self._notes.say(UPDATE, REFUSED, str(error))
            return
        stepping.acts = True
        text = f"{type(optimizer).__name__} updates with {self._form}=True"
        self._notes.say(UPDATE, ENGAGED, text)
        self._notes.keep(UPDATE, _line(optimizer, self._form))


def check(optimizer: Any, asked: str = FOREACH) -> None:
    """See whether an optimizer's class can step in that form here.

    Raises:
        StrategyError: It has a form already, torch has none for it, or refuses it.
    """
    name, groups = type(optimizer).__name__, optimizer.param_groups
    for form in (FOREACH, FUSED):
        if any(group.get(form) for group in groups):
            raise StrategyError(f"{name} has {form}=True already")
    kinds = [kind for kind in type(optimizer).__mro__ if _takes(kind, asked)]
    if not kinds or any(asked not in group for group in groups):
        raise StrategyError(f"{name} has no {asked}: torch has no such form of it")
    try:
        _try(kinds[0], optimizer, asked)
    except Exception as error:  # what torch says is the reason
        said = str(error).partition("\n")[0].rstrip(".")
        raise StrategyError(f"{name} cannot use {asked}=True here: {said}") from error


def _takes(kind: Any, form: str) -> bool:
    """Whether whoever makes an object of this class can ask for the form."""
    return form in inspect.signature(kind).parameters


def _try(kind: Any, optimizer: Any, form: str) -> None:
    """Make a class's step on stand-ins: small parameters, one of each kind.

    Raises:
        Exception: What torch raises where it does not support the form.
    """
    import torch

    def stand_in(dtype: Any, device: Any, sparse: bool) -> Any:
        parameter = torch.zeros(2, 2, dtype=dtype, device=device)
        gradient = torch.zeros_like(parameter)
        parameter.grad = gradient.to_sparse(1) if sparse else gradient
        return parameter

    twin = object.__new__(kind)
    vars(twin).update(vars(optimizer), state=defaultdict(dict), param_groups=[])
    for group in optimizer.param_groups:
        kinds = {
            (p.dtype, p.device, p.grad is not None and p.grad.is_sparse)
            for p in group["params"]
        }
        ours = {form: True, "params": [stand_in(*each) for each in kinds]}
        twin.param_groups.append(group | ours)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the step itself warns of, it will say
        inspect.unwrap(kind.step)(twin)


def _line(optimizer: Any, form: str) -> str:
    """Code that makes it permanent."""
    kind = type(optimizer)
    if not _takes(kind, form):
        return f'for group in optimizer.param_groups: group["{form}"] = True'
    home = "torch.optim." if kind.__module__.startswith("torch.optim.") else ""
    return f"optimizer = {home}{kind.__name__}(..., {form}=True)"
