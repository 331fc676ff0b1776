"""The gateway and Linux's own TCP, in a network namespace: what is said on either side arrives on the other."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vmcontroller.hypervisors.common.net.network import Network
from vmcontroller.hypervisors.common.relay import Relay
from vmcontroller.machine import GuestAddress

MIB = 1 << 20
LINUX = Path(__file__).with_name("linux.py")
NAMESPACE = ("unshare", "--net", sys.executable)


def demand_namespaces() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise SkipTest("needs Linux and root")
    missing = [tool for tool in ("unshare", "ip") if not shutil.which(tool)]
    if missing:
        raise SkipTest(f"needs {' and '.join(missing)}; apt install util-linux iproute2")
    tried = subprocess.run([*NAMESPACE, str(LINUX), "try"], check=False, capture_output=True, text=True)
    if tried.returncode:
        raise SkipTest(f"no network namespace with a card can be made here: {tried.stderr.splitlines()[-1:]}")


class TestLinux(TestCase):
    """Through the relay, as the daemon sees a guest."""

    timeout = 60

    async def connect(self, loss: float) -> GuestAddress:
        demand_namespaces()
        network = Network(reactor)
        port = network.open()
        self.addCleanup(network.close)
        relay = Relay(reactor, network.endpoint)
        address = await relay.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.bind(("127.0.0.1", 0))
            network.plug_in(wire.getsockname()[1])
            command = [*NAMESPACE, str(LINUX), str(wire.fileno()), str(port), str(loss)]
            linux = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[wire.fileno()])
        self.addCleanup(linux.wait)
        self.addCleanup(linux.stdin.close)
        return address

    async def test_both_ways(self) -> None:
        """32 MiB go there and come back."""
        address = await self.connect(0.0)
        await deferToThread(hold_a_conversation, address, 32 * MIB)

    async def test_over_a_bad_link(self) -> None:
        """So do 2 MiB while every fiftieth frame is lost."""
        address = await self.connect(0.02)
        await deferToThread(hold_a_conversation, address, 2 * MIB)


def hold_a_conversation(address: GuestAddress, size: int) -> None:
    said = os.urandom(size)
    with dialled(address, address.chirp_port) as one:
        one.sendall(said)
        one.shutdown(socket.SHUT_WR)
        assert one.recv(100) == hashlib.sha256(said).digest()
    with dialled(address, address.door_port) as one:
        threading.Thread(target=one.sendall, args=(said,), daemon=True).start()
        assert read(one, size) == said
        one.shutdown(socket.SHUT_WR)
        assert one.recv(100) == b""


def dialled(address: GuestAddress, port: int) -> socket.socket:
    """A connection with the guest, which may just be coming up."""
    return socket.create_connection((address.host, port), 30)


def read(one: socket.socket, size: int) -> bytes:
    heard = bytearray()
    while len(heard) < size:
        data = one.recv(MIB)
        assert data, "the connection ends too early"
        heard += data
    return bytes(heard)
