"""The conversation with QEMU: whatever comes, however it was cut, every question has one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.qemu.qmp import PATIENCE, Lines, Monitor, NotQmp

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}, "capabilities": ["oob"]}}
EVENT = {"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}
TALK = b"".join(
    json.dumps(message).encode() + b"\r\n"
    for message in (GREETING, {"return": {}, "id": 1}, EVENT, {"return": {"status": "paused — ünïcode"}, "id": 2})
)


class TestLines:
    """Octets become messages."""

    def test_every_split_point(self) -> None:
        """It does not matter where the stream was cut, even within a character."""
        whole = Lines().feed(TALK)
        assert len(whole) == 4
        for cut in range(len(TALK) + 1):
            lines = Lines()
            assert lines.feed(TALK[:cut]) + lines.feed(TALK[cut:]) == whole

    def test_octet_by_octet(self) -> None:
        """Nor in how many pieces it comes."""
        lines = Lines()
        assert [m for octet in TALK for m in lines.feed(bytes([octet]))] == Lines().feed(TALK)

    def test_unfinished(self) -> None:
        """What is not whole yet waits; empty lines say nothing."""
        lines = Lines()
        assert lines.feed(b'\n\r\n{"return"') == []
        assert lines.feed(b": 1}\n") == [{"return": 1}]

    @pytest.mark.parametrize(
        "garbage", [b"SSH-2.0-OpenSSH\n", b"[1]\n", b'"text"\n', b"{\n", b"\xff\xfe{}\n", b"nul\0\n"]
    )
    def test_garbage(self, garbage: bytes) -> None:
        """What is no JSON object is no QMP."""
        with pytest.raises(NotQmp):
            Lines().feed(garbage)

    def test_endless_line(self) -> None:
        """A line without an end is not kept for ever."""
        lines = Lines(longest=100)
        lines.feed(b"x" * 100)
        with pytest.raises(NotQmp):
            lines.feed(b"x")


class Transport(StringTransport):
    """Remembers which files were passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[int] = []

    def sendFileDescriptor(self, descriptor: int) -> None:
        self.passed.append(descriptor)


class TestMonitor(SynchronousTestCase):
    """Questions, answers, events, and the end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.monitor = Monitor(self.clock, lambda event, data: self.events.append((event, data)))
        self.transport = Transport()
        self.monitor.makeConnection(self.transport)

    def hear(self, *messages: dict[str, Any]) -> None:
        self.monitor.dataReceived(b"".join(json.dumps(message).encode() + b"\r\n" for message in messages))

    def begin(self) -> None:
        self.hear(GREETING)
        self.hear({"return": {}, "id": 1})
        self.successResultOf(self.monitor.ready)
        self.transport.clear()

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.transport.value().splitlines()]

    def test_beginning(self) -> None:
        """After the greeting it asks for no capability; then it is ready, and not before."""
        self.hear(GREETING)
        self.assertEqual(self.said(), [{"execute": "qmp_capabilities", "arguments": {}, "id": 1}])
        self.assertNoResult(self.monitor.ready)
        self.hear({"return": {}, "id": 1})
        self.assertIsNone(self.successResultOf(self.monitor.ready))

    def test_refused_beginning(self) -> None:
        """A QEMU that does not want to talk says so."""
        self.hear(GREETING, {"error": {"class": "GenericError", "desc": "not now"}, "id": 1})
        self.assertIn("not now", str(self.failureResultOf(self.monitor.ready, HypervisorFailed).value))

    def test_answers(self) -> None:
        """Each answer goes to its question, whatever the order, with events in between."""
        self.begin()
        first = self.monitor.execute("query-status")
        second = self.monitor.execute("block-commit", job_id="j", top_node="a")
        self.assertEqual([message["execute"] for message in self.said()], ["query-status", "block-commit"])
        self.assertEqual(self.said()[1]["arguments"], {"job-id": "j", "top-node": "a"})
        self.hear(EVENT, {"return": 2, "id": 3}, {"event": "RESUME"}, {"return": 1, "id": 2})
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (1, 2))
        self.assertEqual(self.events, [("STOP", {}), ("RESUME", {})])

    def test_error(self) -> None:
        """An error holds QEMU's words and the command; the conversation goes on."""
        self.begin()
        bad, good = self.monitor.execute("cont"), self.monitor.execute("stop")
        self.hear({"error": {"class": "GenericError", "desc": "no such thing"}, "id": 2}, {"return": {}, "id": 3})
        text = str(self.failureResultOf(bad, HypervisorFailed).value)
        self.assertIn("no such thing", text)
        self.assertIn("cont", text)
        self.assertEqual(self.successResultOf(good), {})

    def test_silence(self) -> None:
        """A question without an answer fails after a while; what comes later belongs to nobody."""
        self.begin()
        late, good = self.monitor.execute("stop"), None
        self.clock.advance(PATIENCE)
        self.assertIn("did not answer stop", str(self.failureResultOf(late, HypervisorFailed).value))
        good = self.monitor.execute("cont")
        self.hear(
            {"return": "late", "id": 2}, {"return": "good", "id": 3}, {"return": "unasked", "id": 99}, {"return": 0}
        )
        self.assertEqual(self.successResultOf(good), "good")

    def test_until(self) -> None:
        """Who waits for an event gets the next one that is wanted, once."""
        self.begin()
        completed = self.monitor.until("MIGRATION", lambda data: data["status"] == "completed")
        any_stop = self.monitor.until("STOP")
        given_up = self.monitor.until("STOP")
        given_up.addErrback(lambda _: None).cancel()
        self.hear({"event": "MIGRATION", "data": {"status": "active"}}, EVENT)
        self.assertNoResult(completed)
        self.assertEqual(self.successResultOf(any_stop), {})
        self.hear({"event": "MIGRATION", "data": {"status": "completed"}}, EVENT)
        self.assertEqual(self.successResultOf(completed), {"status": "completed"})

    def test_execute_until(self) -> None:
        """A command that is told of by an event ends with it; when it is refused nobody waits for the event."""
        self.begin()
        done = self.until_reset()
        self.hear({"return": {}, "id": 2})
        self.assertNoResult(done)
        self.hear({"event": "RESET", "data": {"guest": False}})
        self.assertEqual(self.successResultOf(done), {"guest": False})
        refused, ended = self.until_reset(), self.until_reset()
        self.hear({"error": {"desc": "no"}, "id": 3})
        self.failureResultOf(refused, HypervisorFailed)
        self.monitor.connectionLost()
        self.failureResultOf(ended, HypervisorFailed)

    def until_reset(self) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self.monitor.execute_until("RESET", lambda data: True, "system_reset"))

    def test_end(self) -> None:
        """When QEMU ends, everything that waits fails, and so does what is asked afterwards."""
        self.begin()
        waiting = [self.monitor.execute("quit"), self.monitor.until("STOP")]
        self.monitor.connectionLost()
        waiting += [self.monitor.execute("cont"), self.monitor.until("RESET"), self.monitor.give("memory", 7)]
        for one in waiting:
            self.assertIn("QEMU has ended", str(self.failureResultOf(one, HypervisorFailed).value))
        self.assertEqual(self.transport.passed, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end_before_the_beginning(self) -> None:
        """When QEMU ends before it has spoken, nobody waits for it."""
        self.monitor.connectionLost()
        self.failureResultOf(self.monitor.ready, HypervisorFailed)

    def test_end_in_the_middle(self) -> None:
        """At every octet of a conversation the end is the end: no question stays open."""
        for cut in range(len(TALK) + 1):
            monitor = Monitor(self.clock)
            monitor.makeConnection(Transport())
            ready = monitor.ready.addErrback(lambda failure: failure.trap(HypervisorFailed) and None)
            monitor.dataReceived(TALK[:cut])
            answer = monitor.execute("query-status")
            monitor.connectionLost()
            self.successResultOf(ready)
            self.failureResultOf(answer, HypervisorFailed)

    def test_garbage(self) -> None:
        """Who does not speak QMP is cut off."""
        asked = self.monitor.execute("stop")
        self.monitor.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertTrue(self.transport.disconnecting)
        self.assertIn("not QEMU", str(self.failureResultOf(asked, HypervisorFailed).value))
        self.failureResultOf(self.monitor.ready, HypervisorFailed)

    def test_not_connected(self) -> None:
        """Before there is a connection there is an error, not a wait."""
        self.failureResultOf(Monitor(self.clock).execute("stop"), HypervisorFailed)

    def test_file(self) -> None:
        """An open file is passed with the words that name it."""
        self.begin()
        given = self.monitor.give("memory", 7)
        self.assertEqual(self.transport.passed, [7])
        self.assertEqual(self.said(), [{"execute": "getfd", "arguments": {"fdname": "memory"}, "id": 2}])
        self.hear({"return": {}, "id": 2})
        self.successResultOf(given)

    def test_hang_up(self) -> None:
        """Who hangs up hears nothing more."""
        self.begin()
        asked = self.monitor.execute("stop")
        self.monitor.hang_up()
        self.assertTrue(self.transport.disconnecting)
        self.failureResultOf(asked, HypervisorFailed)
