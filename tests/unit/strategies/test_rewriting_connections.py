"""Loads that share an `http.client` connection: one per worker, or in order."""

from __future__ import annotations

import http.client
import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_rewritten import PROCESSES, THREADS, Ran, eager, plainly, rewritten

N = 30


class Answers(http.server.BaseHTTPRequestHandler):
    """`/I` gives 3 I, `/next` counts, `/crowded/I` serves one connection only.

    `/late/I` does from number 10 on.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counter: Iterator[int]
    clients: set[Any]

    def do_GET(self) -> None:
        """Answer after a moment."""
        self.clients.add(self.client_address)
        time.sleep(0.002)
        name = self.path.rpartition("/")[2]
        full = name.isdigit() and int(name) >= 10 and "late" in self.path
        crowded = (full or "crowded" in self.path) and len(self.clients) > 1
        body = b"%d" % (next(self.counter) if name == "next" else int(name) * 3)
        self.send_response(503 if crowded else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers as `Answers` says."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


HEAD = """
import http.client
connection = http.client.HTTPConnection("127.0.0.1", {port})
class Source:
    def __init__(self): self.connection = connection
    def get(self, i): return get(self.connection, i)
class Net:
    w = 1
    def update(self, y): self.w = (self.w * 31 + y) % 10007
source, net, count = Source(), Net(), 0
def get(connection, path, method="GET"):
    connection.request(method, "/" + str(path))
    return int(connection.getresponse().read())
def counted(i):
    connection.count = getattr(connection, "count", 0) + 1
    return get(connection, i) + connection.count
def epoch(n, connection):
    for i in range(n):  # loop
        x = {load}
        net.update(x)
        {then}
epoch({n}, connection)
"""


def _both(
    tmp_path: Path, port: int, load: str, then: str = "pass", how: Any = THREADS
) -> tuple[int, Ran]:
    """Plain weights, and the rewritten run; the server counts anew for each."""
    source = HEAD.format(port=port, load=load, then=then, n=N)
    Answers.counter, Answers.clients = itertools.count(), set()
    space = plainly(tmp_path / "p.py", source)
    space["connection"].close()
    Answers.counter, Answers.clients = itertools.count(), set()
    with eager():
        ran = rewritten(tmp_path / "s.py", source, how)
    ran.space["connection"].close()
    return space["net"].w, ran


@pytest.mark.parametrize("how", [THREADS, PROCESSES], ids=["threads", "processes"])
@pytest.mark.parametrize("load", ["get(connection, i)", "source.get(i)"])
def test_each_worker_has_a_connection_of_its_own(
    load: str, how: Any, tmp_path: Path, port: int
) -> None:
    """Wherever the script holds it, workers use others; afterwards it is plain."""
    plain, ran = _both(tmp_path, port, load, how=how)
    assert ran.space["net"].w == plain
    assert ran.plan.heavy
    assert not ran.plan.reason
    assert len(Answers.clients) > 2
    assert type(ran.space["connection"]) is http.client.HTTPConnection
    assert ran.space["get"](ran.space["connection"], 5) == 15
    ran.space["connection"].close()


@pytest.mark.parametrize(
    ("load", "then"),
    [
        ("get(connection, 'next')", "pass"),
        ("get(connection, i, 'POST')", "pass"),
        ("counted(i)", "pass"),
        ("get(connection, i)", "net.update(get(connection, net.w + 100))"),
    ],
    ids=["asked twice", "changes", "attribute", "trainer too"],
)
def test_what_depends_on_the_order_of_requests_keeps_it(
    load: str, then: str, tmp_path: Path, port: int
) -> None:
    """All is asked for in the plain order, over the script's own connection."""
    plain, ran = _both(tmp_path, port, load, then)
    assert ran.space["net"].w == plain
    assert not ran.rewriting.decision or not ran.rewriting.decision.replicas
    assert len(Answers.clients) == 1


def test_another_connection_in_the_next_epoch_is_used_as_written(
    tmp_path: Path, port: int
) -> None:
    """What was learned of one connection is nothing that holds for another."""
    more = f"connection = http.client.HTTPConnection('127.0.0.1', {port})"
    source = HEAD.format(port=port, load="get(connection, i)", then="pass", n=N)
    source += f"connection.close()\n{more}\nepoch({N}, connection)\n"
    source += "connection.close()\n"
    Answers.clients = set()
    plain = plainly(tmp_path / "p.py", source)
    Answers.clients = set()
    with eager():
        ran = rewritten(tmp_path / "s.py", source)
    assert ran.space["net"].w == plain["net"].w
    assert ran.rewriting.fetched < N
    assert len(Answers.clients) > 2


@pytest.mark.parametrize("place", ["crowded", "late"])
def test_a_server_that_refuses_more_connections_ends_it(
    place: str, tmp_path: Path, port: int
) -> None:
    """The first load shows it, or a later one: the loop goes on as written."""
    load = f"get(connection, f'{place}/{{i}}')"
    plain, ran = _both(tmp_path, port, load)
    assert ran.space["net"].w == plain
    assert "the server answered 503" in ran.plan.reason
