"""Long streams between a real agent and a scripted host: nothing is lost, memory stays small."""

from __future__ import annotations

import hashlib
import sys
import time

from tests.vmcontroller_guest.host import AgentProcess, Host
from vmcontroller.wire import words
from vmcontroller.wire.words import (
    CmdAccepted,
    CmdAck,
    CmdOutput,
    CmdResults,
    CmdStdin,
    Ping,
    Pong,
    Stdin,
    Verdict,
)


class Receiver:
    """A host's side of one stream: takes what follows on, confirms, drops the rest."""

    def __init__(self, host: Host, cmd_id: str) -> None:
        self.host, self.cmd_id = host, cmd_id
        self.length = 0
        self.sum = hashlib.sha256()

    def take(self, word: CmdOutput) -> None:
        if word.offset == self.length:
            self.length += len(word.data)
            self.sum.update(word.data)
            self.host.say(CmdAck(self.cmd_id, "out", self.length))

    def to_end(self, timeout: float = 60.0) -> CmdResults:
        while True:
            word = self.host.expect((CmdOutput, CmdResults), timeout=timeout)  # type: ignore[arg-type]
            self.host.heard.clear()
            self.host.frames.clear()
            if isinstance(word, CmdResults):
                return word
            self.take(word)


def test_much_output_does_not_grow_the_agent(guest: AgentProcess, host: Host) -> None:
    """100 MB, octet for octet, and the agent is no larger than before by more than a few."""
    before = guest.status("VmRSS")
    script = "import os\nd = bytes(range(256)) * 4000\nfor i in range(100): os.write(1, d[i:] + d[:i])"
    host.run("c1", sys.executable, "-c", script)
    receiver = Receiver(host, "c1")
    results = receiver.to_end()
    assert (results.outcome, results.out.length) == ("exited", 102_400_000)
    assert (receiver.length, receiver.sum.hexdigest()) == (results.out.length, results.out.sha256)
    assert guest.status("VmHWM") - before < 8 * 1024


def test_a_host_that_reads_nothing_slows_the_program(guest: AgentProcess, host: Host) -> None:
    """A window is under way, a spool fills, then the program waits; nothing is lost, and memory does not grow."""
    host.run("c1", "head", "-c", "80000000", "/dev/zero")
    host.expect(CmdAccepted)
    spool = guest.state / "spool"
    until = time.monotonic() + 30
    while sum(path.stat().st_size for path in spool.iterdir()) < 64 * 1024 * 1024:
        assert time.monotonic() < until
        host.listen(0.05)
    host.listen(0.3)
    assert sum(path.stat().st_size for path in spool.iterdir()) < 66 * 1024 * 1024
    assert max(word.offset + len(word.data) for word in host.heard if isinstance(word, CmdOutput)) == words.WINDOW
    assert guest.status("VmRSS") < 45 * 1024
    newer = Host.dial(guest.ports["door"])
    newer.join(2, {"c1": Verdict("keep", 0)})
    receiver = Receiver(newer, "c1")
    assert receiver.to_end().out.length == receiver.length == 80_000_000
    newer.say(CmdAck("c1", "results"))
    newer.say(Ping("p", "0"))
    newer.expect(Pong)
    assert list(spool.iterdir()) == []


def test_a_new_session_resumes_a_stream(guest: AgentProcess, host: Host) -> None:
    """From where the host is, whatever was under way when the connection broke."""
    host.run("c1", "/bin/sh", "-c", "head -c 500000 /dev/urandom | tee copy; read line", stdin=Stdin("stream"))
    first = Receiver(host, "c1")
    while first.length < 200_000:
        first.take(host.expect(CmdOutput))
    host.close()
    newer = Host.dial(guest.ports["door"])
    newer.join(2, {"c1": Verdict("keep", first.length)})
    second = Receiver(newer, "c1")
    second.length, second.sum = first.length, first.sum
    while second.length < 500_000:
        second.take(newer.expect(CmdOutput))
    newer.say(CmdStdin("c1", 0, True))
    results = second.to_end()
    assert results.out.sha256 == second.sum.hexdigest()
    assert results.out.sha256 == hashlib.sha256((guest.served / "copy").read_bytes()).hexdigest()
