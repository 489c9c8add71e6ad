"""Rows from a real socket: a process on loopback that answers after a delay.

Planted: `load_batch` asks a server of its own and waits `--latency` seconds for the
answer; `forward` is a product. To be found: load / network, the peer 127.0.0.1:PORT.
"""

from __future__ import annotations

import socket

import numpy as np
import rows_server  # type: ignore[import-not-found]
from truth import Watch, arguments, tell  # type: ignore[import-not-found]


def load_batch(client: socket.socket) -> np.ndarray:
    rows = np.frombuffer(rows_server.ask(client))
    return rows.reshape(rows_server.ROWS, rows_server.COLUMNS)


def forward(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(batch @ weights))


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=60)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    options = parser.parse_args()
    weights = np.random.default_rng(options.seed).normal(size=(100, 100))
    server, client = rows_server.start(options.latency)
    port, total, watch = client.getpeername()[1], 0.0, Watch()
    for _ in range(options.steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(client)
            with watch("forward"):
                total += float(forward(batch, weights).sum())
    rows_server.stop(server, client)
    print(f"sum {total:.6f}")
    tell(watch, steps=options.steps, delay_s=options.latency, peer=f"127.0.0.1:{port}")


if __name__ == "__main__":
    main()
