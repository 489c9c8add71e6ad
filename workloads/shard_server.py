"""A slow storage server: not a workload, `remote_shards.py` starts it.

`GET /N` answers with shard N: 64 digits of 65 bytes, the last of each its label. It
waits `latency` seconds before it answers, and sends `bandwidth` kilobytes a second. It
prints its port, and ends when its standard input is closed.
"""

from __future__ import annotations

import gzip
import http.server
import sys
import threading
import time
from pathlib import Path

SHARD, CHUNK_BYTES = 64, 1024


class Storage(http.server.BaseHTTPRequestHandler):
    """Answers each request after the latency, at the bandwidth."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rows: list[bytes]
    latency: float
    bytes_per_s: float

    def do_GET(self) -> None:
        """Send one shard."""
        start = int(self.path[1:]) * SHARD
        body = b"".join(self.rows[start : start + SHARD])
        time.sleep(self.latency)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for at in range(0, len(body), CHUNK_BYTES):
            chunk = body[at : at + CHUNK_BYTES]
            time.sleep(len(chunk) / self.bytes_per_s)
            self.wfile.write(chunk)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the training."""


def main() -> None:
    """Serve the digits until nobody needs them any more."""
    Storage.latency = float(sys.argv[1])
    Storage.bytes_per_s = float(sys.argv[2]) * 1000
    with gzip.open(Path(__file__).with_name("digits.csv.gz"), "rt") as lines:
        Storage.rows = [bytes(map(int, line.split(","))) for line in lines]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storage) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
