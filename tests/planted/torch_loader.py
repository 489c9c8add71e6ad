"""A small CNN on the CPU, fed by a `DataLoader` that decodes JPEG files.

Planted: `__getitem__` decodes a photo-sized JPEG in the trainer's process
(`--workers 0`) or in worker processes. To be found: load / native in the trainer; with
workers the trainer's load is ipc, and the workers' own cause is native. Truth: the load
is `stages.training` less `stages.compute`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

IMAGES, SIDE, CLASSES, BATCH = 32, 64, 4, 8


class Photos:
    """JPEG files, decoded on demand; a map-style data set."""

    def __init__(self, files: list[Path], length: int) -> None:
        self.files = files
        self.length = length

    def __len__(self) -> int:
        """How many photos an epoch has; the files come round again."""
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[index % len(self.files)]) as photo:
            pixels = np.asarray(photo.resize((SIDE, SIDE)), dtype=np.float32)
        return torch.from_numpy(pixels / 255).permute(2, 0, 1), index % CLASSES


def write_photos(folder: Path, side: int, seed: int) -> list[Path]:
    """JPEG files of smooth noise, tinted by class."""
    rng = np.random.default_rng(seed)
    files = [folder / f"{index:03}.jpg" for index in range(IMAGES)]
    for index, file in enumerate(files):
        noise = rng.integers(0, 128, size=(side // 8, side // 8, 3), dtype=np.uint8)
        noise[..., 0] += np.uint8(index % CLASSES * 32)
        Image.fromarray(noise).resize((side, side)).save(file, quality=90)
    return files


def network() -> nn.Sequential:
    """Two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, CLASSES),
    )


def train(
    model: nn.Module, loader: DataLoader[tuple[torch.Tensor, int]], watch: Watch
) -> float:
    """One epoch; the last loss."""
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    value = 0.0
    with watch("training"):
        for images, labels in loader:
            with watch("compute"):
                optimizer.zero_grad()
                loss = criterion(model(images), labels)
                loss.backward()
                optimizer.step()
                value = float(loss.item())
    return value


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=60)
    parser.add_argument("--workers", type=int, default=0, help="loader processes")
    parser.add_argument("--side", type=int, default=640, help="pixels of a photo")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        files = write_photos(Path(folder), options.side, options.seed)
        photos = Photos(files, options.steps * BATCH)
        loader = DataLoader(photos, batch_size=BATCH, num_workers=options.workers)
        value = train(network(), loader, watch)
    print(f"loss {value:.6f}")
    tell(watch, steps=options.steps, workers=options.workers)


if __name__ == "__main__":
    main()
