"""What is no proper request: each gets its answer, and nobody else waits for it."""

from __future__ import annotations

import gzip
import socket
import xmlrpc.client
from base64 import b64encode
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vmcontroller.rpc import PARSE_ERROR, RpcSite

SECRET = "open sesame"
MAX_BODY = 100_000
LOGIN = b"Authorization: Basic " + b64encode(f"me:{SECRET}".encode()) + b"\r\n"
HEAD = b"Host: 127.0.0.1\r\nContent-Type: text/xml\r\n" + LOGIN
CALL = xmlrpc.client.dumps((), "ping").encode()
NESTED = b"<value><array><data>" * 2000 + b"</data></array></value>" * 2000


def post(head: bytes = HEAD, body: bytes = CALL, start: bytes = b"POST /RPC2 HTTP/1.1") -> bytes:
    """A request with its length."""
    return start + b"\r\n" + head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


def headed(more: bytes, rest: bytes = b"") -> bytes:
    """A request whose length is told in some other way, or not at all."""
    return b"POST /RPC2 HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n" + more + b"\r\n" + rest


#: Octets that are sent, and the first octets of the answer; "" is a connection that is closed without one.
CASES: dict[str, tuple[bytes, bytes]] = {
    "good": (post(), b"HTTP/1.1 200"),
    "the protocol of 1996": (post(start=b"POST /RPC2 HTTP/1.0"), b"HTTP/1.0 200"),
    "in chunks": (
        headed(b"Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(CALL), CALL)),
        b"HTTP/1.1 200",
    ),
    "garbage": (b"\x00\xff\x13garbage\r\n\r\n", b"HTTP/1.1 400"),
    "no colon in a header": (b"POST /RPC2 HTTP/1.1\r\nnonsense\r\n\r\n", b"HTTP/1.1 400"),
    "another protocol": (post(start=b"POST /RPC2 HTTP/9.9"), b"HTTP/1.1 400"),
    "a negative length": (headed(b"Content-Length: -5\r\n"), b"HTTP/1.1 400"),
    "a length that is none": (headed(b"Content-Length: many\r\n"), b"HTTP/1.1 400"),
    "two lengths": (headed(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"), b"HTTP/1.1 400"),
    "a length and chunks": (
        headed(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        b"HTTP/1.1 400",
    ),
    "a chunk without length": (headed(b"Transfer-Encoding: chunked\r\n", b"zz\r\nabc\r\n"), b"HTTP/1.1 400"),
    "an unknown transfer": (headed(b"Transfer-Encoding: gzip\r\n", b"abc"), b"HTTP/1.1 400"),
    "an endless header": (b"POST /RPC2 HTTP/1.1\r\nX: " + b"a" * 200_000, b""),
    "an endless line": (b"POST /" + b"a" * 200_000, b""),
    "a length beyond all bounds": (headed(b"Content-Length: 99999999999\r\n", b"abc"), b"HTTP/1.1 413"),
    "compressed": (post(HEAD + b"Content-Encoding: gzip\r\n", gzip.compress(CALL)), b"HTTP/1.1 415"),
    "a form": (post(HEAD.replace(b"text/xml", b"application/x-www-form-urlencoded")), b"HTTP/1.1 415"),
    "no Host": (post(HEAD.partition(b"\r\n")[2]), b"HTTP/1.1 421"),
    "a page": (post(start=b"GET /RPC2 HTTP/1.1"), b"HTTP/1.1 405"),
    "a page's head": (post(start=b"HEAD /RPC2 HTTP/1.1"), b"HTTP/1.1 405"),
    "a preflight": (post(start=b"OPTIONS /RPC2 HTTP/1.1"), b"HTTP/1.1 405"),
    "an invention": (post(start=b"BREW /RPC2 HTTP/1.1"), b"HTTP/1.1 405"),
    "another path": (post(start=b"POST / HTTP/1.1"), b"HTTP/1.1 404"),
    "a path below": (post(start=b"POST /RPC2/x HTTP/1.1"), b"HTTP/1.1 404"),
    "an odd query": (post(start=b"POST /RPC2?cwd=%00%ff&%zz;=[ HTTP/1.1"), b"HTTP/1.1 200"),
}


class AbuseTests(TestCase):
    """One server, real sockets, abusers in threads."""

    timeout = 60

    def setUp(self) -> None:

        async def dispatch(name: str, arguments: Any, cwd: str) -> str:
            return "pong"

        self.site = RpcSite(dispatch, SECRET, MAX_BODY, reactor)
        port = reactor.listenTCP(0, self.site, 200, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.place = ("127.0.0.1", port.getHost().port)

    def say(self, data: bytes, ends: bool = False) -> Deferred[bytes]:
        """Send octets, and with ``ends`` nothing more; all that comes until the server hangs up."""

        def talk() -> bytes:
            answer = b""
            with socket.create_connection(self.place, timeout=10) as its:
                try:
                    its.sendall(data)
                    if ends:
                        its.shutdown(socket.SHUT_WR)
                    while more := its.recv(65536):
                        answer += more
                except ConnectionError:
                    pass  # it was cut off while it was still sending
            return answer

        return deferToThread(talk)

    async def test_each_has_its_answer(self) -> None:
        """The status that the documentation promises, and the connection ends."""
        for name, (data, expected) in CASES.items():
            answer = await self.say(data)
            self.assertEqual((name, answer[: len(expected) or None]), (name, expected))

    async def test_refusals_say_why(self) -> None:
        """One sentence; what may be sent instead of GET is in the header."""
        answer = await self.say(post(start=b"GET /RPC2 HTTP/1.1"))
        self.assertIn(b"\r\nAllow: POST\r\n", answer)
        self.assertTrue(answer.endswith(b"a call is a POST\n"))

    async def test_nested_beyond_reason(self) -> None:
        """No call, as the fault says; nothing breaks."""
        body = b"<methodCall><methodName>ping</methodName><params><param>%s</param></params></methodCall>" % NESTED
        answer = await self.say(post(body=body))
        with self.assertRaises(xmlrpc.client.Fault) as caught:
            xmlrpc.client.loads(answer.partition(b"\r\n\r\n")[2])
        self.assertEqual(caught.exception.faultCode, PARSE_ERROR)

    async def test_half_a_request(self) -> None:
        """Nobody is there to be answered; nothing was done."""
        self.assertEqual(await self.say(headed(b"Content-Length: 500\r\n", CALL[:50]), ends=True), b"")

    async def test_nothing_of_a_strangers_body_is_stored(self) -> None:
        """It is told that it is one when it has sent it all, and costs no room meanwhile."""
        kept: list[int] = []
        plain = self.site.requestFactory

        class Watched(plain):  # type: ignore[misc, valid-type]
            def process(self) -> None:
                kept.append(len(self.content.getvalue()))
                super().process()

        self.site.requestFactory = Watched
        answer = await self.say(post(HEAD.replace(LOGIN, b""), b"x" * 90_000))
        self.assertTrue(answer.startswith(b"HTTP/1.1 401"))
        self.assertTrue((await self.say(post())).startswith(b"HTTP/1.1 200"))
        self.assertEqual(kept, [0, len(CALL)])

    async def test_who_falls_silent_is_cut_off(self) -> None:
        """In the middle of a request, or before it."""
        self.site.timeOut = 0.2
        for begun in (b"", b"\x16\x03\x01\x02", post()[:100], headed(b"Content-Length: 500\r\n", b"<")):
            self.assertEqual(await self.say(begun), b"")

    async def test_many_that_dawdle_cost_nobody_else(self) -> None:
        """150 half requests stay open while another is answered."""
        dawdling = await deferToThread(lambda: [self.dawdle() for _ in range(150)])
        try:
            self.assertTrue((await self.say(post())).startswith(b"HTTP/1.1 200"))
        finally:
            for each in dawdling:
                each.close()

    def dawdle(self) -> socket.socket:
        """Begin a request."""
        its = socket.create_connection(self.place, timeout=10)
        its.sendall(post()[:40])
        return its
