"""Calls of the XML-RPC API over one kept connection, with the standard library alone.

It knows HTTP and XML-RPC, and no method by name. A call is sent once and never again by itself: only the
caller knows whether asking twice does harm.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import re
import socket
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from xml.parsers.expat import ExpatError

from vmcontroller.errors import BadRequest, NotRunning, VMControllerError

#: Characters that XML cannot hold, or does not bring back as they were.
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")


class ApiFault(VMControllerError):
    """The daemon refused a call. ``code`` is one of vmcontroller/errors.py or of XML-RPC itself; the text says why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class ConnectionLost(NotRunning):
    """The daemon went away during a call, or did not answer in time; whether it was carried out is not known."""


@dataclass(frozen=True)
class Address:
    """What a daemon says of itself in daemon.json. ``url`` holds the secret and suits any XML-RPC client."""

    url: str
    secret: str
    port: int
    pid: int
    id: str
    version: str


class Client:
    """One kept connection to one daemon, for one thread.

    ``cwd`` is the base of relative host paths (absent: the daemon's own directory); ``timeout`` is how many
    seconds an answer may take (None: as long as it likes).
    """

    def __init__(self, address: Address, cwd: Path | str | None = None, timeout: float | None = None) -> None:
        url = urlsplit(address.url)
        login = f"{unquote(url.username or '')}:{unquote(url.password or '')}".encode()
        self.address = address
        self.timeout = timeout
        self._path = url.path + (f"?cwd={quote(os.fsencode(cwd))}" if cwd else "")
        self._headers = {
            "Content-Type": "text/xml",
            "Authorization": f"Basic {base64.b64encode(login).decode('ascii')}",
        }
        self._place = (url.hostname or "127.0.0.1", url.port)
        self._http: http.client.HTTPConnection | None = None

    def call(self, method: str, *arguments: Any) -> Any:
        """What the method returns; Binary comes as bytes. ApiFault, ConnectionLost; BadRequest before it is sent.

        Text that XML cannot hold and bytes travel as Binary, integers past 32 bits as i8.
        """
        body = _request(method, arguments)
        try:
            return self._answer(self._exchange(body))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionLost(f"the daemon went away during {method}: {error or 'no answer'}") from None
        except ApiFault:
            raise
        except BaseException:
            self.close()
            raise

    def another(self) -> Client:
        """A second connection, for another thread."""
        twin = Client(self.address, None, self.timeout)
        twin._path = self._path
        return twin

    def close(self) -> None:
        """Let the connection go; the next call opens another. One that was interrupted is good for nothing more."""
        if self._http:
            self._http.close()
            self._http = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _exchange(self, body: bytes) -> http.client.HTTPResponse:
        connection = self._connection()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a refusal may stand there to be read
            connection.request("POST", self._path, body, self._headers)
        return connection.getresponse()

    def _connection(self) -> http.client.HTTPConnection:
        if self._http and (self._http.sock is None or _was_closed(self._http.sock)):
            self.close()
        if self._http is None:
            self._http = http.client.HTTPConnection(*self._place, timeout=self.timeout)
            self._http.connect()
        self._http.sock.settimeout(self.timeout)
        return self._http

    def _answer(self, response: http.client.HTTPResponse) -> Any:
        # Python closes what was not closed when it drops it, and discards a KeyboardInterrupt that comes then.
        with response:
            body = response.read()
        if response.status == http.HTTPStatus.OK:
            return _result(body)
        self.close()
        if response.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise BadRequest("the call is larger than the daemon takes; see xmlrpc.max_body in its configuration")
        raise ConnectionLost(f"the daemon answered {response.status} {response.reason} instead of a result")


def octets(value: str | bytes) -> bytes:
    """What the API gave as text or as Binary, as octets."""
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def text(value: str | bytes) -> str:
    """What the API gave as text or as Binary, as text; octets that are not UTF-8 survive ``octets(text(…))``."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _was_closed(sock: socket.socket) -> bool:
    """Between two calls nothing comes but the end: the daemon closes what was idle for long."""
    try:
        sock.settimeout(0.0)
        sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        pass
    return True


def _request(method: str, arguments: tuple[Any, ...]) -> bytes:
    name = xmlrpc.client.escape(method)
    try:
        params = _Marshaller("utf-8").dumps(arguments)
        return f"<?xml version='1.0'?>\n<methodCall><methodName>{name}</methodName>{params}</methodCall>".encode()
    except (TypeError, OverflowError, ValueError) as error:
        raise BadRequest(f"{method}: an argument cannot travel over XML-RPC: {error}") from None


def _result(body: bytes) -> Any:
    try:
        values, _ = xmlrpc.client.loads(body, use_builtin_types=True)
    except xmlrpc.client.Fault as fault:
        raise ApiFault(fault.faultCode, str(fault.faultString)) from None
    except (ExpatError, xmlrpc.client.Error, ValueError) as error:
        raise ConnectionLost(f"the daemon's answer is not XML-RPC: {error}") from None
    return values[0]


class _Marshaller(xmlrpc.client.Marshaller):
    """The standard one, but that 64-bit integers and any text can travel."""

    dispatch: dict[Any, Callable[..., None]] = dict(xmlrpc.client.Marshaller.dispatch)

    def dump_integer(self, value: int, write: Callable[[str], object]) -> None:
        if not -(2**63) <= value < 2**63:
            raise OverflowError(f"{value} does not fit into 64 bits")
        kind = "int" if -(2**31) <= value < 2**31 else "i8"
        write(f"<value><{kind}>{value}</{kind}></value>\n")

    def dump_text(self, value: str, write: Callable[[str], object]) -> None:
        if _NOT_XML.search(value):
            self.dump_octets(octets(value), write)
        else:
            write(f"<value><string>{xmlrpc.client.escape(value)}</string></value>\n")

    def dump_octets(self, value: bytes, write: Callable[[str], object]) -> None:
        write(f"<value><base64>{base64.b64encode(value).decode('ascii')}</base64></value>\n")

    dispatch[int] = dump_integer
    dispatch[str] = dump_text
    dispatch[bytes] = dump_octets
