"""The guest's door: three lines by which the daemon and the agent prove that both know the seed's secret.

The daemon dials, because a guest behind NAT cannot. Whoever else reaches the port learns nothing and gets nothing.

    agent  → daemon   VMC1 <agent nonce>
    daemon → agent    <daemon nonce> <proof of the daemon>
    agent  → daemon   <proof of the agent>

Nonces are 32 hex digits, proofs 64 (HMAC-SHA256 under the door's key over who proves and both nonces).
After the third line the connection is the agent's STOMP connection. Each side is a small machine that
is fed octets and says what to send; neither touches a socket.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from vmcontroller.wire.keys import Purpose, derive, mac, same

GREETING = "VMC1"
MAX_LINE = 160
_NONCE = re.compile(r"[0-9a-f]{32}\Z")
_PROOF = re.compile(r"[0-9a-f]{64}\Z")


class DoorRefused(Exception):
    """The other side broke the three lines, or does not know the secret."""


def _proof(key: bytes, who: str, agent_nonce: str, daemon_nonce: str) -> str:
    return mac(key, f"{who} {agent_nonce} {daemon_nonce}".encode()).hex()


@dataclass
class _Side:
    secret: str
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    proved: bool = field(default=False, init=False)
    leftover: bytes = field(default=b"", init=False)
    _buffer: bytes = field(default=b"", init=False)

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; return what to send. When ``proved`` is true, ``leftover`` is STOMP.

        DoorRefused: hang up, say nothing.
        """
        self._buffer += data
        answers = b""
        while not self.proved and b"\n" in self._buffer[: MAX_LINE + 1]:
            line, _, self._buffer = self._buffer.partition(b"\n")
            answers += self._line(line)
        if self.proved:
            self.leftover, self._buffer = self._buffer, b""
        elif len(self._buffer) > MAX_LINE:
            raise DoorRefused(f"a line is longer than {MAX_LINE} octets")
        return answers

    def _line(self, line: bytes) -> bytes:
        raise NotImplementedError

    @property
    def _key(self) -> bytes:
        return derive(self.secret, Purpose.DOOR)


@dataclass
class AgentSide(_Side):
    """Inside the guest: greets, checks the daemon, then proves itself."""

    def greeting(self) -> bytes:
        """The first line, to be sent when a connection is accepted."""
        return f"{GREETING} {self.nonce}\n".encode()

    def _line(self, line: bytes) -> bytes:
        words = line.decode("ascii", "replace").split(" ")
        if len(words) != 2 or not _NONCE.match(words[0]) or not _PROOF.match(words[1]):
            raise DoorRefused("the second line is not a nonce and a proof")
        daemon_nonce, proof = words
        if not same(proof, _proof(self._key, "daemon", self.nonce, daemon_nonce)):
            raise DoorRefused("the daemon does not know this VM's secret")
        self.proved = True
        return _proof(self._key, "agent", self.nonce, daemon_nonce).encode() + b"\n"


@dataclass
class DaemonSide(_Side):
    """On the host: answers the greeting with its proof, then checks the agent's."""

    _agent_nonce: str = field(default="", init=False)

    def _line(self, line: bytes) -> bytes:
        text = line.decode("ascii", "replace")
        return self._greeted(text) if not self._agent_nonce else self._answered(text)

    def _greeted(self, text: str) -> bytes:
        words = text.split(" ")
        if len(words) != 2 or words[0] != GREETING or not _NONCE.match(words[1]):
            raise DoorRefused(f"what answers is not an agent's door: {text[:40]!r}")
        self._agent_nonce = words[1]
        return f"{self.nonce} {_proof(self._key, 'daemon', self._agent_nonce, self.nonce)}\n".encode()

    def _answered(self, text: str) -> bytes:
        if not _PROOF.match(text) or not same(text, _proof(self._key, "agent", self._agent_nonce, self.nonce)):
            raise DoorRefused("the agent does not know this VM's secret")
        self.proved = True
        return b""
