"""A classifier whose data lies on another machine.

Trains: a perceptron. Data: handwritten digits in shards of 64, over HTTP from a local
server in a process of its own. Planted: the server answers after 20 ms and sends 1,000
kB/s, so that a shard of 4 kB takes some 25 ms; training on it takes less than one.
Knobs: `--latency`, seconds, and `--bandwidth`, kilobytes a second.
Expected: most of the step is `load`, on the network.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import common
import numpy as np
from data import digits
from model import Perceptron

EXPECTED = {"stage": "load", "cause": "network", "finding": "input-bound-io"}
SERVER = Path(__file__).with_name("shard_server.py")
SHARDS = 23


@contextmanager
def storage(latency: float, bandwidth: float) -> Iterator[http.client.HTTPConnection]:
    """Start the server, connect to it, and end both."""
    command = [sys.executable, str(SERVER), str(latency), str(bandwidth)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port)
        yield connection
        connection.close()
        server.communicate()


def load_batch(
    connection: http.client.HTTPConnection, shard: int
) -> tuple[np.ndarray, np.ndarray]:
    """One shard: 64 rows and their labels."""
    connection.request("GET", f"/{shard}")
    table = np.frombuffer(connection.getresponse().read(), np.uint8).reshape(-1, 65)
    return table[:, :-1].astype(np.float32) / 16, table[:, -1].astype(int)


def main() -> None:
    """Train for a number of steps, shard after shard."""
    parser = common.options(__doc__, steps=150)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--bandwidth", type=float, default=1000, help="kB a second")
    asked = parser.parse_args()
    data, losses = digits(), []
    model = Perceptron([64, 128, 10], asked.seed)
    with storage(asked.latency, asked.bandwidth) as connection:
        for index in range(asked.steps):
            batch, labels = load_batch(connection, index % SHARDS)
            logits = model.forward(batch)
            losses.append(model.loss(logits, labels))
            gradients = model.backward()
            model.update(gradients)
    common.tell(losses, model.accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
