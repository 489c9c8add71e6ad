"""Parallel update for an unmodified script's torch optimizer: torch's own forms.

`fused=True` updates all parameters in one operation, `foreach=True` in a few. Which of
them a class has is asked of its settings, and whether it can do it here is tried on
stand-ins for the parameters. The form is set while a step is made and no longer, so
that groups, state dicts and whatever else the script looks at stay its own.
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

FORMS = ("fused", "foreach")
"""Settings of torch's optimizers that do the same in fewer operations, best first."""

Group = dict[str, Any]


@dataclass
class _Stepping:
    """What is known of one optimizer.

    Attributes:
        optimizer: It, kept so that its address is not another one's.
        form: One of `FORMS`, "" while it is left alone.
        parameters: How many it had when that was decided.
        unseen: Those that had no gradient then.
        state: Its state when that was last made ready for the form.
        plain: Settings of its groups while a step is made, to be put back.
    """

    optimizer: Any
    form: str = ""
    parameters: int = 0
    unseen: list[Any] = field(default_factory=list)
    state: Any = None
    plain: list[tuple[Group, Group]] = field(default_factory=list)

    def put_back(self) -> None:
        """The settings that the script gave the groups."""
        while self.plain:
            group, own = self.plain.pop()
            group.update(own)


class OptimizerSteps(Remedy):
    """Sets the form around every step, through torch's hooks for all optimizers.

    Args:
        strategy: Has no settings for an optimizer.
        notes: Where it says what it does.
    """

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._notes = notes
        self._stepping: dict[int, _Stepping] = {}
        self._handles: list[Any] = []
        self._counts = dict.fromkeys(FORMS, 0)

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
        for form, steps in self._counts.items():
            if steps:
                text = f"{steps} optimizer steps were made with {form}=True"
                self._notes.say(UPDATE, SUMMARY, text, steps=steps)
        self._stepping.clear()

    def _before(self, optimizer: Any, *_: Any) -> None:
        """A step begins."""
        stepping = self._stepping.setdefault(id(optimizer), _Stepping(optimizer))
        stepping.put_back()  # the last step may have raised
        groups = optimizer.param_groups
        count = sum(len(group["params"]) for group in groups)
        if count != stepping.parameters or any(
            parameter.grad is not None for parameter in stepping.unseen
        ):
            self._decide(stepping, count)
        if not stepping.form:
            return
        if optimizer.state is not stepping.state:  # load_state_dict makes it anew
            stepping.state = optimizer.state
            _move_counts(optimizer, stepping.form)
        for group in groups:
            own = {form: group[form] for form in FORMS if form in group}
            stepping.plain.append((group, own))
            group.update(_alone(group, stepping.form))

    def _after(self, optimizer: Any, *_: Any) -> None:
        """A step has been made."""
        stepping = self._stepping.get(id(optimizer))
        if stepping is not None and stepping.plain:
            self._counts[stepping.form] += 1
            stepping.put_back()

    def _decide(self, stepping: _Stepping, count: int) -> None:
        """Which form its steps take from now on, and say so."""
        optimizer = stepping.optimizer
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        unseen = [parameter for parameter in parameters if parameter.grad is None]
        stepping.form, stepping.state = "", None
        if len(unseen) == count:  # the first closure is yet to be called
            return
        stepping.parameters, stepping.unseen = count, unseen
        try:
            stepping.form = usable_form(optimizer)
        except StrategyError as error:
            self._notes.say(UPDATE, REFUSED, str(error))
            return
        text = f"{type(optimizer).__name__} updates with {stepping.form}=True"
        self._notes.say(UPDATE, ENGAGED, text)
        self._notes.keep(UPDATE, _line(optimizer, stepping.form))


def usable_form(optimizer: Any) -> str:
    """The best of `FORMS` that an optimizer's class has and can use here.

    Raises:
        StrategyError: It has one already, there is none, or torch refuses them all.
    """
    name, groups = type(optimizer).__name__, optimizer.param_groups
    refusal = f"{name} has neither {FORMS[0]} nor {FORMS[1]}: torch has no other form"
    for form in FORMS:
        if any(group.get(form) for group in groups):
            raise StrategyError(f"{name} has {form}=True already")
        kinds = [kind for kind in type(optimizer).__mro__ if _takes(kind, form)]
        if not kinds or any(form not in group for group in groups):
            continue
        try:
            _try(kinds[0], optimizer, form)
        except Exception as error:  # noqa: BLE001 - what torch says is the reason
            said = str(error).partition("\n")[0].rstrip(".")
            refusal = f"{name} cannot use {form}=True here: {said}"
        else:
            return form
    raise StrategyError(refusal)


def _takes(kind: Any, form: str) -> bool:
    """Whether whoever makes an object of this class can ask for the form."""
    return form in inspect.signature(kind).parameters


def _try(kind: Any, optimizer: Any, form: str) -> None:
    """Make a class's step in this form on stand-ins for the parameters.

    Raises:
        Exception: What torch raises where it does not support it.
    """
    import torch

    twin = object.__new__(kind)
    vars(twin).update(vars(optimizer), state=defaultdict(dict))
    twin.param_groups = [
        {**group, **_alone(group, form), "params": _stand_ins(group["params"])}
        for group in optimizer.param_groups
    ]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the step itself warns of, it will say
        inspect.unwrap(kind.step)(twin)


def _stand_ins(parameters: list[Any]) -> list[Any]:
    """A small parameter, with a gradient, for each kind that is among these."""
    import torch

    kinds = {
        (p.dtype, p.device, p.grad is not None and p.grad.is_sparse) for p in parameters
    }
    stand_ins = []
    for dtype, device, sparse in kinds:
        parameter = torch.zeros(2, 2, dtype=dtype, device=device)
        gradient = torch.zeros_like(parameter)
        parameter.grad = gradient.to_sparse(1) if sparse else gradient
        stand_ins.append(parameter)
    return stand_ins


def _alone(group: Group, form: str) -> Group:
    """Of the forms that a group has, this one alone."""
    return {each: each == form for each in FORMS if each in group}


def _move_counts(optimizer: Any, form: str) -> None:
    """Counts of steps made in another form lie beside the parameters, for `fused`."""
    for parameter, state in optimizer.state.items() if form == FORMS[0] else ():
        step = state.get("step")
        if getattr(step, "device", parameter.device) != parameter.device:
            state["step"] = step.to(parameter.device)


def _line(optimizer: Any, form: str) -> str:
    """Code that makes it permanent."""
    kind = type(optimizer)
    if not _takes(kind, form):
        return f'for group in optimizer.param_groups: group["{form}"] = True'
    home = "torch.optim." if kind.__module__.startswith("torch.optim.") else ""
    return f"optimizer = {home}{kind.__name__}(..., {form}=True)"
