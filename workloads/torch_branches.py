"""`branches.py` in PyTorch: four independent branches, one after the other.

Trains: a linear layer over the features of four fixed random networks, each of which
sees another part of the image. Data: 1,500 handwritten digits. Planted: no branch needs
another's result, and each keeps one core busy for some milliseconds, yet each call
waits for the one before. Knob: `--width`, units of a branch.
Expected: nearly the whole step is `forward`, in native code.
Needs PyTorch.
"""

from __future__ import annotations

import common
import numpy as np
from data import Digits, digits

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    common.refuse("PyTorch", "python -m pip install torch")

EXPECTED = {"stage": "forward", "cause": "native", "finding": "compute-bound"}
BATCH, PIXELS = 64, (64, 48, 32, 16)


class Branch(nn.Module):
    """A random network of two layers that reads the first pixels of an image."""

    def __init__(self, pixels: int, width: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.layers = nn.Sequential(
            nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The features of each image."""
        return self.layers(images[:, : self.pixels])


def load_batch(
    data: Digits, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """64 rows at random."""
    picked = rng.integers(len(data.rows), size=BATCH)
    return torch.from_numpy(data.rows[picked]), torch.from_numpy(data.labels[picked])


def main() -> None:
    """Train the linear layer for a number of steps."""
    parser = common.options(__doc__, steps=150)
    parser.add_argument("--width", type=int, default=1024, help="units of a branch")
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    data, losses = digits(), []
    rng = np.random.default_rng(asked.seed)
    branches = [Branch(pixels, asked.width) for pixels in PIXELS]
    head = nn.Linear(len(PIXELS) * asked.width, 10)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    for _ in range(asked.steps):
        images, labels = load_batch(data, rng)
        features = [branch(images) for branch in branches]
        loss = criterion(head(torch.cat(features, dim=1)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    unseen = torch.from_numpy(data.unseen_rows)
    guesses = head(torch.cat([branch(unseen) for branch in branches], dim=1))
    right = guesses.argmax(dim=1).numpy() == data.unseen_labels
    common.tell(losses, float(right.mean()))


if __name__ == "__main__":
    main()
