"""An XML-RPC server that is found like a daemon and whose methods a test writes itself."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = "s3cret"
LARGEST = 200_000


class HangUp(Exception):
    """Raised by a method: the connection is cut instead of an answer."""


def hang_up(*_: Any) -> None:
    """A method that only does this."""
    raise HangUp


class FakeDaemon:
    """Serves ``methods`` on loopback; ``calls`` and ``queries`` say what was asked, ``connections`` from how many."""

    def __init__(self, methods: Mapping[str, Callable[..., Any]]) -> None:
        self.methods = {"system.listMethods": lambda: sorted(self.methods), **methods}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.queries: list[str] = []
        self.connections = 0
        self._hung_up = threading.Semaphore(0)
        self.hangs_up_after_each = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, method: str, arguments: tuple[Any, ...]) -> bytes:
        """The response to one call; what the method raises as Fault travels as one."""
        self.calls.append((method, arguments))
        try:
            if method not in self.methods:
                raise xmlrpc.client.Fault(-32601, f"there is no method {method}")
            value = self.methods[method](*arguments)
            return xmlrpc.client.dumps((value,), methodresponse=True).encode()
        except xmlrpc.client.Fault as fault:
            return xmlrpc.client.dumps(fault).encode()

    def asked(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of one method."""
        return [arguments for name, arguments in self.calls if name == method]

    def await_hang_up(self) -> None:
        """Wait until one more connection was closed from this side."""
        assert self._hung_up.acquire(timeout=10)

    def write_address(self, state_dir: Path, **changes: Any) -> None:
        """Write daemon.json as the daemon does."""
        url = f"http://vmcontroller:{SECRET}@127.0.0.1:{self.port}/RPC2"
        said = {"url": url, "secret": SECRET, "port": self.port, "pid": os.getpid(), "id": "fake", "version": "0"}
        (state_dir / "daemon.json").write_text(json.dumps(said | changes))

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    fake: FakeDaemon
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that leaves early is no trouble."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        self.server.fake.connections += 1
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.server.shutdown_request(self.request)
        self.server.fake._hung_up.release()

    def do_POST(self) -> None:
        expected = "Basic " + base64.b64encode(f"vmcontroller:{SECRET}".encode()).decode()
        length = int(self.headers["Content-Length"])
        if length > LARGEST:
            self._respond(413, b"")
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if self.headers.get("Authorization") != expected:
            self._respond(401, b"")
            return
        self.server.fake.queries.append(self.path.partition("?")[2])
        arguments, method = xmlrpc.client.loads(body, use_builtin_types=True)
        try:
            self._respond(200, self.server.fake.answer(str(method), arguments))
        except HangUp:
            self.close_connection = True
        self.close_connection |= self.server.fake.hangs_up_after_each

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Be silent."""


@contextmanager
def fake_daemon(state_dir: Path, methods: Mapping[str, Callable[..., Any]]) -> Iterator[FakeDaemon]:
    """A FakeDaemon that ``find(state_dir)`` finds while the context lasts."""
    fake = FakeDaemon(methods)
    fake.write_address(state_dir)
    try:
        yield fake
    finally:
        fake.stop()
