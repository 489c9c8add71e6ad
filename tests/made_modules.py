# ruff: noqa: D102 - what a user's modules look like
"""Modules of many shapes, for the tests of torch's strategies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):
    """Convolution, normalisation and an activation that writes in place."""

    def __init__(self, read: int, made: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(read, made, side, padding=side // 2)
        self.norm = nn.BatchNorm2d(made)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        return self.relu(self.norm(self.conv(x)))


class Inception(nn.Module):
    """Four branches; one of them forks and joins once more."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 4, 3)
        self.one = Block(4, 4, 1)
        self.two = nn.Sequential(Block(4, 4, 1), Block(4, 4, 3))
        self.three = Block(4, 4, 1)
        self.three_a, self.three_b = Block(4, 2, 3), Block(4, 2, 1)
        self.four = nn.Sequential(nn.MaxPool2d(3, 1, 1), Block(4, 4, 1))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any, scale: Any = None) -> Any:
        x = self.stem(x)
        if scale is not None:
            x = x * scale
        three = self.three(x)
        three = torch.cat([self.three_a(three), self.three_b(three)], 1)
        x = torch.cat([self.one(x), self.two(x), three, self.four(x)], 1)
        return self.head(x.mean((2, 3)))


class Residual(nn.Module):
    """A shortcut with a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.Sequential(Block(3, 6, 3), Block(6, 6, 3))
        self.short = nn.Conv2d(3, 6, 1)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.long(x) + self.short(x))


class Towers(nn.Module):
    """Two inputs, and a layer that both towers use."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(8, 8)
        self.left, self.right = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, a: Any, b: Any) -> Any:
        return self.left(self.shared(a).tanh()) * self.right(self.shared(b).tanh())


class Attention(nn.Module):
    """Three projections of one value between residual sums."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.out = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        q, k, v = self.q(y), self.k(y), self.v(y)
        weights = torch.softmax(q @ k.transpose(-1, -2), -1)
        return x + self.out(weights @ v)


class Halves(nn.Module):
    """Branches over the parts of a split, and several results."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        one, two = x.chunk(2, 1)
        return {"a": self.a(one), "b": (self.b(two), x.shape[0])}


class Frozen(nn.Module):
    """Branches over views of the input; one of them has nothing to train."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(8, 4)
        self.a.requires_grad_(False)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(torch.cat([self.a(x[:, :4]), self.b(x).relu_()], 1))


class Meeting(torch.autograd.Function):
    """Waits for the other branch, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Any, barrier: threading.Barrier) -> Any:
        ctx.barrier = barrier
        barrier.wait(10)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        ctx.barrier.wait(10)
        return gradient.clone(), None


class Leaf(nn.Linear):
    """A layer whose inside is not followed, as torch's own layers are not."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        super().__init__(8, 8)
        self.act = act

    def forward(self, x: Any) -> Any:
        return self.act(super().forward(x))


Leaf.__module__ = "torch.nn.made_up"


class Both(nn.Module):
    """Two branches with an action each."""

    def __init__(self, first: Callable[[Any], Any], second: Callable[[Any], Any]):
        super().__init__()
        self.first, self.second = Leaf(first), Leaf(second)

    def forward(self, x: Any) -> Any:
        return self.first(x) + self.second(x)


class Dropping(nn.Module):
    """Two branches with dropout each."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
        self.b = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
        self.c, self.d = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        x = self.a(x) + self.b(x)
        return self.c(x) * self.d(x)


class Writing(nn.Module):
    """One branch writes into what the other one reads."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        x = x * 1
        return self.a(x.mul_(2)) + self.b(x)


class SharedNorm(nn.Module):
    """Both branches keep statistics in the same layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(8, 8), nn.Linear(8, 8), nn.BatchNorm1d(8)

    def forward(self, x: Any) -> Any:
        return self.norm(self.a(x)) + self.norm(self.b(x))


class Branching(nn.Module):
    """Its way depends on the data."""

    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


class Counting(nn.Module):
    """It counts its calls, and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.seen, self.kept = nn.Linear(8, 8), nn.Linear(8, 8), 0, []

    def forward(self, x: Any) -> Any:
        self.seen += 1
        self.kept.append(x)
        return self.a(x) + self.b(x)
