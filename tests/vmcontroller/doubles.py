"""A host without a network: the real controller, ledger and outputs, with guests that the test speaks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from vmcontroller.controller import Controller
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import Outputs
from vmcontroller.records import Request
from vmcontroller.wire import words
from vmcontroller.wire.words import StreamReport, Word

T = TypeVar("T")
NOW = 1_000_000.0


def at_once(function: Callable[..., T], *arguments: Any) -> Deferred[T]:
    """What needs a thread in life is done here and now."""
    return succeed(function(*arguments))


class Disk:
    """A disk that answers when the test wants: every wait for it is put off until ``turn``."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._waiting.append((done, function, arguments))
        return done

    def turn(self) -> int:
        """Do what was asked until now; how many things that were."""
        asked, self._waiting = self._waiting, []
        for done, function, arguments in asked:
            done.callback(function(*arguments))
        return len(asked)


def result(work: Coroutine[Any, Any, T] | Deferred[T]) -> T:
    """What this has come to already; it raises what that raised."""
    outcome: list[Any] = []
    ensureDeferred(work).addBoth(outcome.append)
    assert outcome, "it is still under way"
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]  # type: ignore[no-any-return]


def stream(data: bytes, along: bool = True) -> StreamReport:
    """The report of a stream, which travels along or came before."""
    checksum = hashlib.sha256(data).hexdigest()
    return StreamReport.of(data, checksum) if along else StreamReport(len(data), checksum)


def results(cmd_id: str, out: bytes | StreamReport = b"", *, along: bool = True, **other: Any) -> words.CmdResults:
    """How a command ended: well, unless the test says otherwise."""
    report = out if isinstance(out, StreamReport) else stream(out, along)
    return words.CmdResults(
        cmd_id, **({"outcome": "exited", "exit_code_or_signal": 0, "out": report, "err": stream(b"")} | other)
    )


class Host:
    """The controller, and what it says. It is the Speaker, too."""

    def __init__(self, directory: Path, in_thread: Callable[..., Deferred[Any]] = at_once, min_free: int = 0) -> None:
        self.clock = Clock()
        self.wall = NOW
        self.ledger = Ledger(":memory:", lambda: self.wall)
        self.outputs = Outputs(directory / "cmds", in_thread, min_free)
        self.controller = Controller(self.clock, lambda: self.wall, self.ledger, self.outputs, self)
        self._said: list[tuple[str, Word]] = []

    def close(self) -> None:
        """Nothing may be left that would happen later."""
        self.controller.close()
        self.outputs.close()
        self.ledger.close()
        assert self.clock.getDelayedCalls() == []

    # -- the Speaker

    def say(self, vm: str, word: Word, session: int) -> None:
        """Through the codec, as on the wire."""
        self._said.append((vm, words.hear(*words.say(word))))

    def say_all(self, group: str, word: Word) -> None:
        self._said.append((f"all of {group}", words.hear(*words.say(word))))

    def said(self, kind: type[Word] | None = None) -> list[Any]:
        """The words of a kind, or all, that were said since this was asked the last time, to whom first."""
        said, self._said = self._said, []
        return [(to, word) for to, word in said if kind is None or type(word) is kind]

    # -- guests

    def add(self, *vms: str, group: str = "default") -> None:
        """VMs are made."""
        for vm in vms:
            self.ledger.add_guest(vm, vm.upper(), group, f"secret of {vm}", "key")

    def hear(self, vm: str, word: Word, session: int | None = None) -> None:
        """A guest says this, in its session unless another is given."""
        record = self.ledger.guest(vm)
        now = record.session if record is not None and session is None else session
        self.controller.heard(vm, words.hear(*words.say(word)), now or 0)

    def hello(self, vm: str, nonce: str = "n", session: int | None = None, journal: str = "j", **its: Any) -> Any:
        """A guest says HELLO; the WELCOME that it gets."""
        record = self.ledger.guest(vm)
        assert record is not None
        known = record.session if session is None else session
        self.hear(vm, words.Hello(nonce, vm, journal, known, **its), known)
        ((_, welcome),) = self.said(words.Welcome)
        return welcome

    def join(self, *vms: str, **hello: Any) -> None:
        """Guests say HELLO and write down what they are offered."""
        for vm in vms:
            session = self.hello(vm, **hello).session
            self.hear(vm, words.CmdAck("-", "session", session), session)

    def run(self, cmd_id: str, *vms: str, **request: Any) -> str:
        """Somebody asks for a command."""
        group = request.pop("group", "default")
        asked = Request(to="*" if len(vms) > 1 else vms[0], cmd="/bin/x", group=group, **request)
        return self.controller.run(cmd_id, asked, {vm: vm.upper() for vm in vms})

    def state(self, cmd_id: str, vm: str) -> str:
        """Where a part stands."""
        part = self.ledger.part(cmd_id, vm)
        assert part is not None
        return part.state.value
