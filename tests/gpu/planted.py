"""A training loop on an accelerator with planted times: the script under check.

`planted.py LOAD_MS DEVICE_MS READS STEPS` loads for so long, gives the device matrix
products that take so long, and reads the loss in each step if READS is 1. Prints the
device's milliseconds a step as its own events measured them before the loop.
"""

from __future__ import annotations

import sys
import time

import torch

load_ms, device_ms, reads, steps = map(int, sys.argv[1:])
KIND = torch.accelerator.current_accelerator().type
SIZE = 2048


class Products(torch.nn.Module):
    """So many products of square matrices, one after the other."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(SIZE, device=KIND))
        self.count = count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What keeps the device busy, and a gradient to take."""
        with torch.no_grad():
            for _ in range(self.count):
                x = x @ self.weight
        return (x * self.weight).mean()


def timed(model: Products, x: torch.Tensor, times: int) -> float:
    """Milliseconds of a forward and backward pass there."""
    first, last = (torch.Event(device=KIND, enable_timing=True) for _ in range(2))
    torch.accelerator.synchronize()
    first.record()
    for _ in range(times):
        model(x).backward()
    last.record()
    torch.accelerator.synchronize()
    return first.elapsed_time(last) / times


def load() -> torch.Tensor:
    """A batch, some time later."""
    time.sleep(load_ms / 1e3)
    return torch.ones(8)


x = torch.rand(SIZE, SIZE, device=KIND)
timed(Products(8), x, 20)
one = timed(Products(64), x, 10) / 64
model = Products(max(round(device_ms / one), 1))
print(f"device {timed(model, x, 10):.3f}", flush=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
for _ in range(steps):
    batch = load()
    loss = model(x)
    loss.backward()
    optimizer.step()
    if reads:
        loss.item()
