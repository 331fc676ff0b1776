"""Speaks QMP, the protocol in which QEMU is told what to do: JSON objects, one a line, over a Unix socket.

QEMU greets, we ask for no capability, then each command gets one answer, with events in between
(docs/interop/qmp-spec.txt in QEMU's source). Nothing here knows what the commands mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from vmcontroller.errors import HypervisorFailed

#: Seconds that QEMU may take for an answer. What takes longer is told by events.
PATIENCE = 60.0
_LONGEST_LINE = 16 * 1024 * 1024

Message = dict[str, Any]
Wanted = Callable[[Message], bool]


class NotQmp(Exception):
    """What came is no line of QMP."""


class Lines:
    """Makes messages of octets, wherever they were cut."""

    def __init__(self, longest: int = _LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. NotQmp when a line is none, or has no end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._longest:
            raise NotQmp("a line of it has no end")
        return [_message(line) for line in lines if line.strip()]


def _message(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except ValueError:
        raise NotQmp(f"it said {line[:80]!r}") from None
    if not isinstance(message, dict):
        raise NotQmp(f"it said {line[:80]!r}")
    return message


class Monitor(Protocol):
    """A conversation with one QEMU. ``ready`` fires when it has begun, ``hear(event, data)`` is told of each event.

    When it ends, for whatever reason, everything that waits fails with HypervisorFailed.
    """

    transport: Any  # A Unix socket's: it passes open files, and can be cut off.

    def __init__(self, clock: IReactorTime, hear: Callable[[str, Message], None] = lambda event, data: None) -> None:
        self.ready: Deferred[None] = Deferred()
        self._clock = clock
        self._hear = hear
        self._lines = Lines()
        self._number = 0
        self._asked: dict[int, tuple[str, Deferred[Any]]] = {}
        self._waiting: list[tuple[Callable[[str, Message], bool], Deferred[Message]]] = []
        self._ended = ""

    # -- what others use

    def execute(self, command: str, **arguments: Any) -> Deferred[Any]:
        """Have a command obeyed; fires with what it returns. Underscores in names become QMP's hyphens.

        HypervisorFailed holds QEMU's words, or says that none came in time.
        """
        return self._ask(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    def give(self, name: str, descriptor: int) -> Deferred[None]:
        """Hand QEMU a copy of an open file, for commands that take "fd:NAME"."""
        if not self._ended and self.transport:
            self.transport.sendFileDescriptor(descriptor)
        return self.execute("getfd", fdname=name)

    def human(self, line: str) -> Deferred[str]:
        """Say a line of the human monitor, for the few things that QMP has no word for."""
        return self.execute("human-monitor-command", command_line=line)

    def until(self, event: str, wanted: Wanted = lambda data: True) -> Deferred[Message]:
        """Fires with the data of the next such event. Ask before saying what brings it about, and take the answer."""
        waiting: Deferred[Message] = Deferred(self._forget)
        if self._ended:
            waiting.errback(HypervisorFailed(self._ended))
        else:
            self._waiting.append((lambda name, data: name == event and wanted(data), waiting))
        return waiting

    async def execute_until(self, event: str, wanted: Wanted, command: str, **arguments: Any) -> Message:
        """Have a command obeyed that has ended when an event says so; the event's data. HypervisorFailed."""
        told = self.until(event, wanted)
        try:
            await self.execute(command, **arguments)
        except HypervisorFailed:
            told.addErrback(lambda _: None).cancel()
            raise
        return await told

    def hang_up(self) -> None:
        """End the conversation; QEMU goes on, and takes the next one."""
        self._end("the conversation with QEMU was ended")
        if self.transport:
            self.transport.abortConnection()
        self.ready.addErrback(lambda _: None)  # Nobody may be waiting for it.

    # -- how it works

    def _ask(self, command: str, arguments: Mapping[str, Any]) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        if self._ended or self.transport is None:
            answer.errback(HypervisorFailed(f"{command}: {self._ended or 'QEMU is not connected'}"))
            return answer
        self._number += 1
        self._asked[self._number] = (command, answer)
        said = {"execute": command, "arguments": arguments, "id": self._number}
        self.transport.write(json.dumps(said).encode() + b"\n")
        return answer.addTimeout(PATIENCE, self._clock, onTimeoutCancel=lambda _, after: _silent(command, after))

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._lines.feed(data):
                self._take(message)
        except NotQmp as error:
            self._end(f"what answers is not QEMU: {error}")
            self.transport.abortConnection()

    def _take(self, message: Message) -> None:
        if "QMP" in message:
            self.execute("qmp_capabilities").addCallbacks(self._begin, self._refused)
        elif "event" in message:
            self._tell(str(message["event"]), message.get("data") or {})
        else:
            self._answer(message)

    def _begin(self, _: object) -> None:
        if not self.ready.called:
            self.ready.callback(None)

    def _refused(self, failure: Failure) -> None:
        if not self.ready.called:
            self.ready.errback(failure)

    def _tell(self, event: str, data: Message) -> None:
        for one in [one for one in self._waiting if one[0](event, data)]:
            self._waiting.remove(one)
            one[1].callback(data)
        self._hear(event, data)

    def _answer(self, message: Message) -> None:
        command, answer = self._asked.pop(message.get("id", 0), ("", None))
        if answer is None or answer.called:
            return  # It comes after its time.
        if "error" in message:
            answer.errback(
                HypervisorFailed(f"QEMU refused {command}: {message['error'].get('desc', 'it gave no reason')}")
            )
        else:
            answer.callback(message.get("return"))

    def _forget(self, waiting: Deferred[Message]) -> None:
        self._waiting = [one for one in self._waiting if one[1] is not waiting]

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._end("QEMU has ended")

    def _end(self, why: str) -> None:
        self._ended = self._ended or why
        asked, self._asked = self._asked, {}
        waiting, self._waiting = self._waiting, []
        for command, answer in asked.values():
            if not answer.called:
                answer.errback(HypervisorFailed(f"{command}: {self._ended}"))
        for _, event in waiting:
            if not event.called:  # Whoever heard of the end just now may have given up.
                event.errback(HypervisorFailed(self._ended))
        if not self.ready.called:
            self.ready.errback(HypervisorFailed(self._ended))


def _silent(command: str, after: float) -> None:
    raise HypervisorFailed(f"QEMU did not answer {command} in {after:g} s; is the host overloaded, or its disk stuck?")
