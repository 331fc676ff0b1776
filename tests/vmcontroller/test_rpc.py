"""XML-RPC over real HTTP: who may speak, how much, and how values travel."""

from __future__ import annotations

import http.client
import xmlrpc.client
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vmcontroller.api.dispatch import Api
from vmcontroller.errors import UnknownVM
from vmcontroller.rpc import BAD_ARGUMENTS, INTERNAL_ERROR, NO_METHOD, PARSE_ERROR, RpcSite

SECRET = "open sesame"
GOOD = {
    "Authorization": "Basic " + b64encode(f"anybody:{SECRET}".encode()).decode(),
    "Content-Type": "text/xml",
}


class Family:
    """Methods to call."""

    def echo(self, value: Any) -> Any:
        """Give it back. Nothing else."""
        return value

    def add(self, left: int, right: float = 1.0) -> float:
        """Add two numbers."""
        return left + right

    def where(self, *, cwd: str) -> str:
        """The caller's directory."""
        return cwd

    async def unknown(self, vm: str) -> None:
        """Fail as methods do."""
        raise UnknownVM(f"no VM is called {vm!r}")

    def odd(self) -> dict:  # type: ignore[type-arg]
        """Names as a guest may choose them."""
        return {"a\0b": 1, "\udc80": 2}

    def unwritable(self) -> Any:
        """What XML-RPC has no form for."""
        return object()

    def broken(self) -> None:
        """Fail as methods must not."""
        raise ZeroDivisionError

    def __init__(self) -> None:
        self.release: Deferred[None] = Deferred()
        self.done: Deferred[str] = Deferred()

    async def wait(self) -> str:
        """Wait for release, then finish."""
        await self.release
        self.done.callback("to the end")
        return "late"


class RpcTests(TestCase):
    """One server, real sockets, clients in threads."""

    timeout = 30

    def setUp(self) -> None:
        self.family = Family()
        site = RpcSite(Api([self.family]).dispatch, SECRET, 100_000, reactor)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    def ask(
        self, body: bytes, headers: dict[str, str] = GOOD, method: str = "POST", path: str = "/RPC2"
    ) -> Deferred[tuple[int, bytes]]:
        """Send one request; the status and the body."""

        def talk() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()

        return deferToThread(talk)

    def call(self, method: str, *arguments: Any, query: str = "") -> Deferred[Any]:
        """Call as any client does, the secret in the URL."""

        def talk() -> Any:
            secret = SECRET.replace(" ", "%20")
            url = f"http://me:{secret}@127.0.0.1:{self.port}/RPC2{query}"
            with xmlrpc.client.ServerProxy(url) as proxy:
                return getattr(proxy, method)(*arguments)

        return deferToThread(talk)

    async def fault(self, method: str, *arguments: Any) -> xmlrpc.client.Fault:
        """The fault that a call must give."""
        return await self.assertFailure(self.call(method, *arguments), xmlrpc.client.Fault)

    async def test_values(self) -> None:
        """Everything comes back as it was, long integers, control characters and octets too."""
        big = 2**40
        body = xmlrpc.client.dumps(([1, "a<&é", 1.5, True],), "echo").encode()
        self.assertEqual((await self.ask(body))[0], 200)
        self.assertEqual(await self.call("echo", {"a": [1, "x", {}]}), {"a": [1, "x", {}]})
        self.assertEqual((await self.call("echo", xmlrpc.client.Binary(b"a\x00\r\n\xff"))).data, b"a\x00\r\n\xff")
        _, answer = await self.ask(
            f"<methodCall><methodName>echo</methodName><params><param><value><i8>{big}</i8></value></param></params>"
            "</methodCall>".encode()
        )
        self.assertIn(f"<i8>{big}</i8>".encode(), answer)
        self.assertEqual(xmlrpc.client.loads(answer)[0][0], big)

    async def test_names_in_a_struct(self) -> None:
        """A name that XML cannot hold, which a guest may choose, is shown escaped."""
        self.assertEqual(await self.call("odd"), {"a\\x00b": 1, "\\udc80": 2})

    async def test_answer_that_cannot_be_written(self) -> None:
        """The caller gets a fault, not silence."""
        self.assertEqual((await self.fault("unwritable")).faultCode, INTERNAL_ERROR)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    async def test_cwd(self) -> None:
        """The query of the URL gives the directory."""
        self.assertEqual(await self.call("where", query="?cwd=/a%20b"), "/a b")

    async def test_faults(self) -> None:
        """Each has its own code and a sentence."""
        cases: Sequence[tuple[int, str, tuple[Any, ...], str]] = [
            (UnknownVM.code, "unknown", ("x",), "no VM is called 'x'"),
            (NO_METHOD, "nothing", (), "there is no method 'nothing'"),
            (BAD_ARGUMENTS, "add", (), r"add\(left, right=1.0\) was called with 0 arguments"),
            (BAD_ARGUMENTS, "add", (1, 2, 3), "was called with 3 arguments"),
            (BAD_ARGUMENTS, "add", ("one",), "left must be int"),
            (BAD_ARGUMENTS, "add", (True,), "left must be int"),
            (BAD_ARGUMENTS, "add", (1, float("nan")), "right must be a finite number"),
            (BAD_ARGUMENTS, "add", (1, float("inf")), "right must be a finite number"),
            (INTERNAL_ERROR, "broken", (), "nobody foresaw"),
        ]
        for code, method, arguments, text in cases:
            fault = await self.fault(method, *arguments)
            self.assertEqual(fault.faultCode, code)
            self.assertRegex(fault.faultString, text)
        self.flushLoggedErrors(ZeroDivisionError)

    async def test_not_xml(self) -> None:
        """Garbage, and documents with a type of their own, get the parser's fault."""
        bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>&a;</methodName></methodCall>'
        wide = bomb.decode().encode("utf-16")
        for body in (b"", b"garbage", b"<methodCall>", bomb, wide):
            status, answer = await self.ask(body)
            self.assertEqual(status, 200)
            with self.assertRaises(xmlrpc.client.Fault) as caught:
                xmlrpc.client.loads(answer)
            self.assertEqual(caught.exception.faultCode, PARSE_ERROR)

    async def test_strangers(self) -> None:
        """No or a wrong secret, a foreign host, what a web page could send."""
        wrong = {"Authorization": "Basic " + b64encode(b"me:wrong").decode()}
        cases = [
            ({"Content-Type": "text/xml"}, 401),
            (GOOD | wrong, 401),
            (GOOD | {"Authorization": "Basic !"}, 401),
            (GOOD | {"Authorization": "Bearer x"}, 401),
            (GOOD | {"Host": "evil.example"}, 421),
            (GOOD | {"Host": "127.0.0.1.evil.example"}, 421),
            (GOOD | {"Content-Type": "text/plain"}, 415),
        ]
        body = xmlrpc.client.dumps((1,), "echo").encode()
        for headers, status in cases:
            self.assertEqual((await self.ask(body, headers))[0], status, headers)
        self.assertEqual((await self.ask(b"", GOOD, "GET"))[0], 405)

    async def test_another_path(self) -> None:
        """A sentence says which one it is."""
        for path in ("/", "/RPC2/x", "/index.html"):
            status, why = await self.ask(b"", GOOD, path=path)
            self.assertEqual((status, why), (404, b"there is nothing here; calls go to /RPC2\n"))

    async def test_too_large(self) -> None:
        """Refused by its announced length, before it is read; others go on."""
        status, why = await self.ask(b"x" * 100_001)
        self.assertEqual(status, 413)
        self.assertEqual(why, b"a call has at most 100000 octets; the setting xmlrpc.max_body allows more\n")
        self.assertEqual(await self.call("echo", 1), 1)

    async def test_too_large_in_chunks(self) -> None:
        """Refused while it comes when no length was announced."""

        def talk() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/RPC2", iter([b"x" * 50_000] * 4), GOOD, encode_chunked=True)
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                return connection.getresponse().status
            except (ConnectionError, http.client.HTTPException):
                return 413  # it hung up while we were still sending
            finally:
                connection.close()

        self.assertEqual(await deferToThread(talk), 413)

    async def test_caller_hangs_up(self) -> None:
        """What was asked is done to the end though nobody waits for the answer, and the server goes on."""

        def talk() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=0.2)
            connection.request("POST", "/RPC2", xmlrpc.client.dumps((), "wait").encode(), GOOD)
            try:
                connection.getresponse()
            except TimeoutError:
                pass
            connection.close()

        await deferToThread(talk)
        self.assertEqual(await self.call("echo", "on"), "on")
        self.family.release.callback(None)
        self.assertEqual(await self.family.done, "to the end")

    async def test_introspection(self) -> None:
        """What there is can be asked for."""
        self.assertIn("unpause", await self.call("system.listMethods"))
        self.assertIn("Add two numbers.", await self.call("system.methodHelp", "add"))
        self.assertEqual(
            await self.call("system.methodSignature", "add"), [["double", "int"], ["double", "int", "double"]]
        )
        self.assertIn("echo(value)\n    Give it back.", await self.call("help"))
        self.assertIn("add(left, right=1.0)", await self.call("help", "add"))
