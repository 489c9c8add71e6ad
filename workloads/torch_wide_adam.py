"""`wide_adam.py` in PyTorch: Adam that walks from tensor to tensor.

Trains: residual layers of 16 units. Data: 1,500 handwritten digits. Planted: every
layer has two small tensors, and `foreach=False` (what PyTorch does on a CPU unless told
otherwise) lets Adam spend a dozen small operations on each of them. Knob: `--layers`;
100 of them have 204 tensors with the first and last layer's.
Expected: about half of the step is `update`, in Python and the calls it makes.
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

EXPECTED = {"stage": "update", "cause": "", "finding": "update-bound"}
BATCH, UNITS = 32, 16


class Residual(nn.Module):
    """A layer that adds `tanh(linear(values))` to its values."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.linear = nn.Linear(UNITS, UNITS)
        nn.init.normal_(self.linear.weight, std=0.3 / layers**0.5)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The values and what the layer adds to them."""
        return values + torch.tanh(self.linear(values))


def load_batch(
    data: Digits, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """32 rows at random."""
    picked = rng.integers(len(data.rows), size=BATCH)
    return torch.from_numpy(data.rows[picked]), torch.from_numpy(data.labels[picked])


def main() -> None:
    """Train for a number of steps."""
    parser = common.options(__doc__, steps=200)
    parser.add_argument("--layers", type=int, default=100, help="of two tensors each")
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    data, losses = digits(), []
    rng = np.random.default_rng(asked.seed)
    body = [Residual(asked.layers) for _ in range(asked.layers)]
    model = nn.Sequential(nn.Linear(64, UNITS), *body, nn.Linear(UNITS, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002, foreach=False)
    for _ in range(asked.steps):
        images, labels = load_batch(data, rng)
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    guesses = model(torch.from_numpy(data.unseen_rows)).argmax(dim=1).numpy()
    common.tell(losses, float((guesses == data.unseen_labels).mean()))


if __name__ == "__main__":
    main()
