"""A convolutional network in PyTorch, fed by a `DataLoader` that decodes images.

Trains: two convolutions and a linear layer. Data: 1,024 handwritten digits as JPEG
files of 256 x 256 pixels, written once into the cache folder. Planted: the data set
opens, decodes and reduces every image when asked; without workers the trainer does it
itself, between two steps. Knob: `--workers`, processes of the loader.
Expected: without workers, most of the step is `load`, in native code; with two, the
step gets shorter as long as cores are free.
Needs PyTorch and Pillow.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
from data import digit_files

try:
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
except ModuleNotFoundError:
    common.refuse("PyTorch and Pillow", "python -m pip install torch pillow")

EXPECTED = {"stage": "load", "cause": "native", "finding": "input-bound-compute"}
BATCH, FILES, SEEN, SIDE = 32, 1024, 960, 16


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """The files in a fixed order, as long as the training lasts."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """One image of 16 x 16 grey pixels, and the digit in its name."""
        file = self.files[index]
        with Image.open(file) as photo:
            small = photo.convert("L").reduce(photo.width // SIDE)
        pixels = torch.from_numpy(np.asarray(small, dtype=np.float32) / 255)
        return pixels[None], int(file.stem[-1])


def network() -> nn.Sequential:
    """Two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def train(
    model: nn.Module, batches: DataLoader[tuple[torch.Tensor, int]]
) -> list[float]:
    """The losses of one pass over the batches."""
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def accuracy(model: nn.Module, photos: Photos) -> float:
    """The share of images whose digit it names."""
    images, labels = zip(*(photos[index] for index in range(len(photos))), strict=True)
    right = model(torch.stack(images)).argmax(dim=1) == torch.tensor(labels)
    return float(right.float().mean())


def main() -> None:
    """Train for a number of steps on files at random."""
    parser = common.options(__doc__, steps=150)
    parser.add_argument("--workers", type=int, default=0, help="loader processes")
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    files, rng = digit_files(256, FILES), np.random.default_rng(asked.seed)
    order = [files[index] for index in rng.integers(SEEN, size=asked.steps * BATCH)]
    batches = DataLoader(Photos(order), batch_size=BATCH, num_workers=asked.workers)
    model = network()
    losses = train(model, batches)
    common.tell(losses, accuracy(model, Photos(files[SEEN:])))


if __name__ == "__main__":
    main()
