"""Pickle, copy and inspect what __main__ defines under training words."""

import copy
import inspect
import pickle


class Model:
    """A model in __main__."""

    def __init__(self, weight):
        self.weight = weight

    def forward(self, batch, *, scale: float = 1.0) -> float:
        """Scale the batch."""
        return batch * self.weight * scale

    @classmethod
    def load(cls, weight):
        return cls(weight)

    @staticmethod
    def loss(output, target=0):
        return (output - target) ** 2

    def __eq__(self, other):
        return self.weight == other.weight

    __hash__ = None


def augment(batch, /, times: int = 2, *rest, key=None, **more) -> list:
    """Repeat the batch."""
    return [batch] * times


model = Model(3)
for thing in (Model, model, augment, Model.loss, model.forward, Model.load):
    again = pickle.loads(pickle.dumps(thing))
    print(again == thing, getattr(again, "__qualname__", type(again).__name__))
print(copy.deepcopy(augment) is augment, copy.copy(model.forward)(2))
for function in (augment, Model.forward, Model.loss, Model.load):
    print(inspect.signature(function), inspect.getdoc(function))
    print(function.__name__, function.__qualname__, function.__module__)
    print(inspect.isfunction(function), inspect.ismethod(function))
print(augment.__defaults__, augment.__kwdefaults__, augment.__annotations__)
print(inspect.getsource(Model.forward).strip().splitlines()[0])
print(type(inspect.getattr_static(Model, "loss")).__name__)
print(type(inspect.getattr_static(Model, "load")).__name__)
print(Model.load(4).forward(2, scale=0.5), Model.loss(3), augment(1))
try:
    augment()
except TypeError as error:
    print(error)
