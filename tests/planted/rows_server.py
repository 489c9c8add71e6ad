"""A source of rows on a loopback port that answers each request after a wait.

Not a loop: `socket_load.py` and `slow_queue.py` start it as a process of its own. A
request is one byte, the answer 32 rows of 100 doubles. It prints its port, and ends
when its only client hangs up.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time

ROWS, COLUMNS = 32, 100
ANSWER_BYTES = ROWS * COLUMNS * 8


def start(latency_s: float) -> tuple[subprocess.Popen[str], socket.socket]:
    """Start the server's process and connect to it."""
    command = [sys.executable, __file__, str(latency_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server, client


def stop(server: subprocess.Popen[str], client: socket.socket) -> None:
    """Hang up, and wait for the server's end."""
    client.close()
    server.communicate()


def ask(client: socket.socket) -> bytes:
    """Request 32 rows and wait for all of them."""
    client.sendall(b"?")
    answer = bytearray()
    while len(answer) < ANSWER_BYTES:
        answer += client.recv(ANSWER_BYTES - len(answer))
    return bytes(answer)


def serve(latency_s: float) -> None:
    """Answer one client until it hangs up."""
    answer = bytes(ANSWER_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    with connection:
        while connection.recv(1):
            time.sleep(latency_s)
            connection.sendall(answer)


if __name__ == "__main__":
    serve(float(sys.argv[1]))
