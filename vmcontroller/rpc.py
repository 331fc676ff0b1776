"""XML-RPC over HTTP for one local user: who may speak, how much, and how values travel.

What the methods mean is no business of this file: it calls ``dispatch(name, arguments, cwd)``.
Every request must bring the secret (HTTP Basic, any user name), a Host header of this machine, and text/xml:
a web page that a volunteer visits can send neither of the last two on its own account.
"""

from __future__ import annotations

import base64
import re
import xmlrpc.client
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.parsers import expat

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from vmcontroller.errors import VMControllerError
from vmcontroller.wire.keys import same

#: ``dispatch(method, arguments, cwd)``; it raises VMControllerError or xmlrpc.client.Fault.
Dispatch = Callable[[str, Sequence[Any], str], Awaitable[Any]]

#: Why a request is not read: an HTTP status and a sentence.
Refusal = tuple[int, str]

# The codes that all XML-RPC servers share (specification of fault code interoperability).
PARSE_ERROR, NO_METHOD, BAD_ARGUMENTS, INTERNAL_ERROR = -32700, -32601, -32602, -32603

#: RFC 9110, 15.5.20; twisted.web has no name for it.
MISDIRECTED_REQUEST = 421

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_ILLEGAL_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")


# -- values


def wrap(value: Any) -> Any:
    """A value in the form that XML-RPC can carry: None is "", text that XML cannot hold is Binary.

    Carriage returns count among what XML cannot hold, because a parser turns them into line feeds. The names in a
    struct are always text: what XML cannot hold is shown escaped.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        return _text_or_binary(value)
    if isinstance(value, str):
        illegal = _ILLEGAL_IN_XML.search(value)
        return xmlrpc.client.Binary(value.encode("utf-8", "surrogateescape")) if illegal else str(value)
    if isinstance(value, dict):
        return {wrap_text(str(key)): wrap(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [wrap(item) for item in value]
    return value


def _text_or_binary(value: bytes) -> Any:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return xmlrpc.client.Binary(value)
    return xmlrpc.client.Binary(value) if _ILLEGAL_IN_XML.search(text) else text


def unwrap(value: Any) -> Any:
    """What a caller sent, with Binary as octets."""
    if isinstance(value, xmlrpc.client.Binary):
        return value.data
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    return value


class _Marshaller(xmlrpc.client.Marshaller):
    """Writes integers past 32 bits as <i8>, the extension that XML-RPC readers know."""

    dispatch: dict[Any, Callable[..., None]] = dict(xmlrpc.client.Marshaller.dispatch)

    def dump_integer(self, value: int, write: Callable[[str], object]) -> None:
        kind = "int" if -(2**31) <= value < 2**31 else "i8"
        write(f"<value><{kind}>{value}</{kind}></value>\n")

    dispatch[int] = dump_integer


def _response(value: Any) -> bytes:
    fault = isinstance(value, xmlrpc.client.Fault)
    params = _Marshaller("utf-8").dumps(value if fault else (wrap(value),))
    return f"<?xml version='1.0'?>\n<methodResponse>\n{params}</methodResponse>\n".encode()


def _read(document: bytes) -> tuple[tuple[Any, ...], str | None]:
    """The arguments and the method of a call, as xmlrpc.client.loads has them, but for documents with a type.

    A document's type is where entities are declared, of which a few lines can grow to gigabytes.
    """

    def refuse(*declaration: object) -> None:
        raise ValueError("a document type is not allowed")

    values = xmlrpc.client.Unmarshaller()
    values.xml("", None)  # the parser gives text, not octets
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = values.start
    parser.EndElementHandler = values.end
    parser.CharacterDataHandler = values.data
    parser.Parse(document, True)
    return values.close(), values.getmethodname()


# -- requests


#: Written before the request has been read, so by hand; the body ends with the connection.
_TOO_LARGE = (
    b"HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"a call has at most %d octets; the setting xmlrpc.max_body allows more\n"
)


class _BoundedRequest(Request):
    """Refuses a body larger than the site's ``max_body`` before it is stored; what a stranger sends is never stored."""

    channel: Any
    _octets = 0
    _is_refused = False
    #: Why it is not read; the headers, which are there before the body, tell.
    refusal: Refusal | None = None

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.refusal = self.channel.site.refusal(self)
        if length is not None and length > self.channel.site.max_body:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self._octets += len(data)
        if self._octets > self.channel.site.max_body:
            self._refuse()
        if self.refusal is None and not self._is_refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Go on at once; twisted.web would look for a form in the body first, for a tenth of the time of a call."""
        self.content.seek(0)  # type: ignore[union-attr]
        self.method, self.uri, self.clientproto = command, path, version
        self.path, self.args = path.partition(b"?")[0], {}
        self.process()

    def _refuse(self) -> None:
        if not self._is_refused:
            self._is_refused = True
            self.channel.transport.write(_TOO_LARGE % (self.channel.site.max_body,))
            self.channel.transport.loseConnection()


class RpcSite(Site):
    """The HTTP server: /RPC2 and nothing else. ``max_body`` is in octets."""

    requestFactory = _BoundedRequest
    noisy = False

    def __init__(self, dispatch: Dispatch, secret: str, max_body: int, reactor: Any) -> None:
        root = Elsewhere()
        root.putChild(b"RPC2", RpcResource(dispatch))
        super().__init__(root, reactor=reactor)
        self.max_body = max_body
        self.displayTracebacks = False
        self._secret = secret

    def refusal(self, request: Request) -> Refusal | None:
        """Why a request is not read, or None; its headers alone tell."""
        if not _is_local(request.getHeader("host") or ""):
            return MISDIRECTED_REQUEST, "the Host header names another machine; call 127.0.0.1"
        if not _knows(self._secret, request.getHeader("authorization") or ""):
            return http.UNAUTHORIZED, "the secret is missing or wrong; daemon.json in the state directory holds it"
        if (request.getHeader("content-type") or "").partition(";")[0].strip().lower() != "text/xml":
            return http.UNSUPPORTED_MEDIA_TYPE, "an XML-RPC call has the Content-Type text/xml"
        if (request.getHeader("content-encoding") or "identity").strip().lower() != "identity":
            return http.UNSUPPORTED_MEDIA_TYPE, "a call is not compressed; send it without Content-Encoding"
        return None

    def log(self, request: Any) -> None:
        """No access log: every call of a busy wrapper would be a line."""


class Elsewhere(Resource):
    """Where nothing is."""

    def getChild(self, path: bytes, request: Any) -> Resource:
        return self

    def render(self, request: Any) -> bytes:
        """Whatever the method of HTTP."""
        return _refuse(request, http.NOT_FOUND, "there is nothing here; calls go to /RPC2")


class RpcResource(Resource):
    """POST one call, get one response, unless the request has a ``refusal``."""

    log = Logger()

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()
        self._dispatch = dispatch

    def getChild(self, path: bytes, request: Any) -> Resource:
        return Elsewhere()

    def render(self, request: Any) -> bytes | int:
        """Whatever the method of HTTP."""
        if request.method != b"POST":
            return _refuse(request, http.NOT_ALLOWED, "a call is a POST")
        if request.refusal is not None:
            return _refuse(request, *request.refusal)
        # A caller that hangs up needs no answer; what it asked for is done to the end all the same, never by half.
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        ensureDeferred(self._answer(request, gone)).addErrback(self._unanswered)
        return NOT_DONE_YET

    async def _answer(self, request: Request, gone: list[Failure]) -> None:
        try:
            assert request.content is not None
            value = await self._call(request.content.read(), _cwd(request))
            body = _response(value)
        except xmlrpc.client.Fault as fault:
            body = _response(fault)
        except VMControllerError as error:
            body = _response(xmlrpc.client.Fault(error.code, wrap_text(str(error))))
        except Exception:  # whatever it is, the caller does not wait for ever
            self.log.failure("an answer could not be written")
            body = _response(xmlrpc.client.Fault(INTERNAL_ERROR, "the answer could not be written as XML"))
        if gone:
            return
        request.setHeader(b"content-type", b"text/xml; charset=utf-8")
        request.setHeader(b"content-length", b"%d" % len(body))
        request.write(body)
        request.finish()

    async def _call(self, body: bytes, cwd: str) -> Any:
        try:
            said, method = _read(body)
            arguments = unwrap(list(said))
        except Exception as error:  # the parser raises whatever a bad document leads it to
            raise xmlrpc.client.Fault(PARSE_ERROR, wrap_text(f"this is no XML-RPC call: {error}")) from None
        try:
            return await self._dispatch(method or "", arguments, cwd)
        except (VMControllerError, xmlrpc.client.Fault):
            raise
        except Exception:
            self.log.failure("{method} failed in a way that nobody foresaw", method=method)
            text = f"{method} failed in a way that nobody foresaw; daemon.log in the state directory has the details"
            raise xmlrpc.client.Fault(INTERNAL_ERROR, text) from None

    def _unanswered(self, failure: Failure) -> None:
        self.log.failure("a call could not be answered", failure)


def wrap_text(text: str) -> str:
    """A fault's text is always text: what XML cannot hold is shown escaped."""
    return _ILLEGAL_IN_XML.sub(lambda sign: repr(sign.group())[1:-1], text)


def _knows(secret: str, header: str) -> bool:
    scheme, _, code = header.partition(" ")
    try:
        said = base64.b64decode(code.strip(), validate=True).decode("utf-8")
    except ValueError:
        return False
    return scheme.lower() == "basic" and same(said.partition(":")[2], secret)


def _is_local(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOCAL_HOSTS
    except ValueError:
        return False


def _cwd(request: Request) -> str:
    query = parse_qs(urlsplit(request.uri.decode("latin-1")).query, encoding="utf-8", errors="surrogateescape")
    return query.get("cwd", [""])[0]


def _refuse(request: Request, code: int, why: str) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    if code == http.NOT_ALLOWED:
        request.setHeader(b"allow", b"POST")
    if code == http.UNAUTHORIZED:
        request.setHeader(b"www-authenticate", b'Basic realm="vmcontroller"')
    return f"{why}\n".encode()
