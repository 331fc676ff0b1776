"""A scripted host: it runs a real agent, dials its door, and speaks with it word by word over TCP."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vmcontroller.wire import words
from vmcontroller.wire.door import DaemonSide
from vmcontroller.wire.keys import passcode, welcome_proof
from vmcontroller.wire.stomp import Frame, Parser, Version, encode
from vmcontroller.wire.words import CmdAck, CmdResults, CmdRun, Hello, Verdict, Welcome, Word

W = TypeVar("W", bound=Word)

SECRET = "the secret of this VM"
VM, DAEMON, GROUP = "vm-1", "daemon-1", "default"
INBOX, EVERYBODY, OUTBOX = (f"/topic/vmcontroller.{DAEMON}.{GROUP}.{end}" for end in (f"{VM}.in", "all", f"{VM}.out"))
DEADLINE = 10.0
_ROOT = Path(__file__).parents[2]


class AgentProcess:
    """``python -m vmcontroller_guest`` in a directory of its own; it may live several times."""

    def __init__(self, home: Path, **seed: Any) -> None:
        self.state, self.served = home / "state", home / "served"
        self.seed = home / "seed.json"
        defaults = {"id": VM, "name": "VM 1", "group": GROUP, "daemon": DAEMON, "secret": SECRET}
        self.seed.write_text(json.dumps(defaults | seed))
        self.ports: dict[str, int] = {}

    def start(self, **changes: Any) -> None:
        """Start it; its ports are open then. ``changes`` are options such as ``chirp_port``."""
        reading, writing = os.pipe()
        options = {"seed": self.seed, "state": self.state, "serve": self.served, "listen": "127.0.0.1"}
        options |= {"door_port": 0, "chirp_port": 0, "ports_fd": writing} | changes
        line = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vmcontroller_guest", *line],
            pass_fds=[writing],
            cwd=_ROOT,
        )
        os.close(writing)
        with os.fdopen(reading) as told:
            self.ports = json.loads(told.readline())

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def log(self) -> str:
        return (self.state / "agent.log").read_text()

    def status(self, name: str) -> int:
        """A number in /proc/PID/status, such as VmRSS in KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + ":"))


@contextmanager
def agent(home: Path, **seed: Any) -> Iterator[AgentProcess]:
    """A running agent, ended at the end with all that it started."""
    process = AgentProcess(home, **seed)
    process.start()
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.stop()


class Host:
    """One connection to an agent: STOMP's server side, and the words on it. Everything heard is kept in ``heard``."""

    def __init__(self, connection: socket.socket) -> None:
        self.session = 0
        self.heard: list[Word] = []
        self.frames: list[Frame] = []
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser()
        self._parser.version = Version.V1_2
        self._fresh: list[Word] = []

    @classmethod
    def dial(cls, port: int, secret: str = SECRET) -> Host:
        """Connect to a door, prove, and take the agent in as a broker would."""
        connection = socket.create_connection(("127.0.0.1", port), DEADLINE)
        side = DaemonSide(secret)
        while not side.proved:
            data = connection.recv(4096)
            if not data:
                raise ConnectionError("the door was closed")
            connection.sendall(side.feed(data))
        host = cls(connection)
        host.accept(side.leftover)
        return host

    def accept(self, leftover: bytes = b"") -> None:
        """CONNECT and the two subscriptions, each confirmed."""
        self._take(leftover)
        connect = self._frame("CONNECT")
        assert connect.headers["login"] == VM
        assert connect.headers["passcode"] == passcode(SECRET)
        self._send(Frame("CONNECTED", {"version": "1.2", "heart-beat": "0,0"}))
        places = [self._frame("SUBSCRIBE") for _ in range(2)]
        assert [place.headers["destination"] for place in places] == [INBOX, EVERYBODY]
        for place in places:
            self._send(Frame("RECEIPT", {"receipt-id": place.headers["receipt"]}))

    def close(self) -> None:
        self._socket.close()

    # -- words

    def say(self, *said: Word) -> None:
        for word in said:
            headers, body = words.say(word)
            self.say_raw(headers | {words.IN_SESSION: str(self.session)}, body)

    def say_raw(self, headers: Mapping[str, str], body: bytes, destination: str = INBOX) -> None:
        self._send(
            Frame("MESSAGE", {"destination": destination, "subscription": "1", "message-id": "1", **headers}, body)
        )

    def expect(self, kind: type[W], matching: Callable[[W], bool] = lambda word: True, timeout: float = DEADLINE) -> W:
        """The next word of this kind, among those that ``expect`` has not returned yet or passed over."""
        until = time.monotonic() + timeout
        while True:
            while self._fresh:
                word = self._fresh.pop(0)
                if isinstance(word, kind) and matching(word):
                    return word
            assert self.read(until - time.monotonic()), f"no {kind.WORD} came; heard: {self.heard}"

    def listen(self, seconds: float) -> list[Word]:
        """Everything that comes within a time."""
        before, until = len(self.heard), time.monotonic() + seconds
        while self.read(until - time.monotonic()):
            pass
        return self.heard[before:]

    def join(self, session: int = 1, verdicts: Mapping[str, Verdict] | None = None) -> Hello:
        """Answer the next HELLO; return it."""
        hello = self.expect(Hello)
        proof = welcome_proof(SECRET, VM, hello.nonce, session)
        self.say(Welcome(session, hello.nonce, proof, time.time(), verdicts or {}))
        self.expect(CmdAck, lambda word: word.of == "session" and word.offset == session)
        self.session = session
        return hello

    def run(self, cmd_id: str, cmd: str, *args: str, **fields: Any) -> None:
        self.say(CmdRun(cmd_id, cmd, self.session, (VM,), args, **fields))

    def result(self, cmd_id: str, timeout: float = DEADLINE) -> CmdResults:
        """Its result, which is confirmed."""
        results = self.expect(CmdResults, lambda word: word.cmd_id == cmd_id, timeout)
        self.say(CmdAck(cmd_id, "results"))
        return results

    # -- frames

    def read(self, timeout: float) -> bool:
        """Take what arrives; False when nothing did in time. ConnectionError when the agent hung up."""
        if timeout <= 0 or not select.select([self._socket], [], [], timeout)[0]:
            return False
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the agent hung up")
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        for frame in self._parser.feed(data):
            self.frames.append(frame)
            if frame.cmd == "SEND":
                assert frame.headers["destination"] == OUTBOX
                word = words.hear(frame.headers, frame.body)
                self.heard.append(word)
                self._fresh.append(word)

    def _frame(self, command: str) -> Frame:
        while True:
            for frame in self.frames:
                if frame.cmd == command:
                    self.frames.remove(frame)
                    return frame
            assert self.read(DEADLINE), f"no {command} came"

    def _send(self, frame: Frame) -> None:
        self._socket.sendall(encode(frame, Version.V1_2))
