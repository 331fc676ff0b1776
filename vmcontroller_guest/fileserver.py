"""The guest's Chirp server: it serves one directory to whoever holds the private half of the VM's key.

Twisted listens and accepts; each connection is then handed to a thread of its own, because what follows is waiting
for a disk and moving large files, and neither must keep the agent from answering the daemon.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress, IReactorFromThreads
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from twisted.logger import Logger

from vmcontroller.channel import Channel
from vmcontroller.threads import in_a_thread
from vmcontroller.wire.ticket import PublicKey, read_public_key
from vmcontroller_guest.chirp.served import ServedFiles, clear_incoming
from vmcontroller_guest.chirp.session import Session

#: Connections at one time; more are hung up at once.
SESSIONS = 64
#: Octets that the system holds for us meanwhile, if it lets us: each time that we are woken to read is dear in an
#: emulated guest.
RECEIVE_BUFFER = 1 << 20
#: Seconds of silence after which a client is taken for gone.
PATIENCE = 600.0


class ChirpFactory(Factory):
    """Listen with it on a TCP endpoint. When the port is stopped, its sessions are ended, too."""

    noisy = False
    _log = Logger()

    def __init__(self, root: Path, public_key_pem: str, reactor: IReactorFromThreads) -> None:
        """``root`` is the served directory, which exists. With an empty ``public_key_pem`` nobody gets in.

        ValueError: it is no RSA public key. What an agent that was killed left half received is removed.
        """
        self._root = root
        self._key: PublicKey | None = read_public_key(public_key_pem) if public_key_pem else None
        self._reactor = reactor
        self._sessions: dict[Channel, Deferred[None]] = {}
        clear_incoming(root)

    def buildProtocol(self, address: IAddress | None) -> Protocol | None:
        return _Accepted(self) if len(self._sessions) < SESSIONS else None

    def stopFactory(self) -> None:
        self._abort_all()

    def close(self) -> Deferred[None]:
        """End every session; fires with None when each has cleaned up."""
        self._abort_all()
        return DeferredList(list(self._sessions.values())).addCallback(lambda _: None)

    def _abort_all(self) -> None:
        for channel in self._sessions:
            channel.abort()

    def serve(self, connection: socket.socket) -> Deferred[None]:
        """Hold a session on this socket; fires when it has ended and the socket is closed."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        channel = Channel(connection, PATIENCE)
        done = in_a_thread(self._reactor, lambda: self._hold(channel), channel.abort)
        done.addErrback(lambda failure: self._log.failure("a session of the file server broke", failure))
        self._sessions[channel] = done.addCallback(lambda _: self._sessions.pop(channel, None) and None)
        return done

    def _hold(self, channel: Channel) -> None:
        try:
            Session(channel, self._key, ServedFiles(self._root)).serve()
        finally:
            channel.close()


class _Accepted(Protocol):
    """Hands its socket over and holds its place in the reactor until the session has ended."""

    def __init__(self, server: ChirpFactory) -> None:
        self._server = server

    def connectionMade(self) -> None:
        connection = cast(Connection, self.transport)
        connection.pauseProducing()
        done = self._server.serve(connection.getHandle().dup())
        done.addCallback(lambda _: connection.loseConnection())
