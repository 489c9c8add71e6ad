"""gloo ranks that train together; one of them is slow in one place.

Arguments: PLACE CAUSE MS, e.g. `load sleep 20`; place "none" for none. STEPS in the
environment. The slow rank is the last one.
"""

import os
import sys
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

PLACE, CAUSE, MS = sys.argv[1], sys.argv[2], float(sys.argv[3])
STEPS = int(os.environ.get("STEPS", "120"))


def hold_up(place: str) -> None:
    """What the slow rank does there."""
    if place != PLACE or dist.get_rank() != dist.get_world_size() - 1:
        return
    if CAUSE == "sleep":
        time.sleep(MS / 1000)
        return
    end = time.perf_counter() + MS / 1000
    if CAUSE == "python":
        while time.perf_counter() < end:
            sum(i * i for i in range(200))
    elif CAUSE == "native":
        matrix = torch.ones(300, 300)
        while time.perf_counter() < end:
            matrix @ matrix
    else:
        with open(f"written-{os.getpid()}", "wb") as file:
            while time.perf_counter() < end:
                file.write(bytes(1 << 18))
                file.flush()
                os.fsync(file.fileno())


class Items(Dataset):
    """Random rows."""

    def __len__(self) -> int:
        return STEPS * 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if index % 8 == 0:
            hold_up("load")
        return torch.full((64,), float(index % 7))


class Held(torch.autograd.Function):
    """Passes gradients on."""

    @staticmethod
    def forward(ctx, x):
        hold_up("forward")
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        hold_up("backward")
        return gradient


class Model(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Held.apply(self.layers(x))


class Optimizer(torch.optim.SGD):
    """Its step takes longer there."""

    def step(self, closure=None):
        hold_up("update")
        return super().step(closure)


def log(losses: list) -> None:
    """Keeps the last loss."""
    hold_up("log")
    del losses[:-1]


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = DistributedDataParallel(Model())
    optimizer = Optimizer(model.parameters(), lr=0.001)
    losses: list = []
    for x in DataLoader(Items(), batch_size=8):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        log(losses)
    if dist.get_rank() == int(os.environ.get("DIES", "-1")):
        sys.exit(7)
    dist.barrier()
    print(f"rank {dist.get_rank()} ended with {losses[-1]:.6f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
