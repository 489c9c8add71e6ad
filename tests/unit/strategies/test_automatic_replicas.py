"""Each worker thread has a connection of its own, to the same place."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from debottleneck.agent.calls import Call
from debottleneck.strategies.automatic.callers import Replicas, needs_replicas


class Echo(BaseHTTPRequestHandler):
    """Answers with the path that was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One answer."""
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_replicas_answer_while_the_original_is_in_use() -> None:
    """A request under way on the script's connection does not disturb a worker's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, 7)
        try:
            connection.request("GET", "/mine")
            replicas = Replicas()
            call = replicas.of(Call((connection, 3), {"again": connection}))
            own = call.args[0]
            assert own is call.kwargs["again"]
            assert own is not connection
            assert (own.timeout, call.args[1]) == (7, 3)
            own.request("GET", "/its")
            assert own.getresponse().read() == b"/its"
            assert connection.getresponse().read() == b"/mine"
            assert replicas.of(Call((connection,), {})).args[0] is own
            replicas.close()
            assert own.sock is None
        finally:
            connection.close()
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("value", [3, "a", [1], object()])
def test_everything_else_is_shared(value: object) -> None:
    """Data and models are what they are."""
    call = Call((value,), {})
    assert not needs_replicas(call)
    assert Replicas().of(call) is call
