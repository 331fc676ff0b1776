"""A Linux of its own at the other end of a wire: a network namespace whose one card leads to a UDP socket.

    unshare --net PYTHON linux.py SOCKET OUR_PORT LOSS

SOCKET is an inherited UDP socket. Port 61614 says again what it hears, port 9094 what the hash of all that was.
``LOSS`` is the share of frames that are lost, each way. It ends with its standard input. With the word "try" alone it
only makes its card. Linux and root only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable

TAP, WITHOUT_HEADER = 0x0002, 0x1000
SET_INTERFACE = 0x400454CA
UP = "ip link set lo up; ip link set card mtu 9000 up; ip address add 10.0.2.15/24 dev card"


def card() -> int:
    """A new card of this namespace; what is written to the descriptor arrives there."""
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, SET_INTERFACE, struct.pack("16sH22x", b"card", TAP | WITHOUT_HEADER))
    return handle


def carry(tap: int, wire: int, loss: float) -> None:
    """Frames between the card and the wire, for ever."""
    dice = random.Random(1)
    while True:
        for ready in select.select([tap, wire], [], [])[0]:
            try:
                frame = os.read(ready, 20000)
                if dice.random() >= loss:
                    os.write(wire if ready == tap else tap, frame)
            except OSError:
                pass  # Nobody listens at the other end yet, or any more.


def serve(port: int, answer: Callable[[socket.socket], None]) -> None:
    """Answer calls at a port, each in a thread."""
    listener = socket.create_server(("", port))
    while True:
        start(answer, listener.accept()[0])


def echo(one: socket.socket) -> None:
    """Say it again."""
    with one:
        while data := one.recv(65536):
            one.sendall(data)


def digest(one: socket.socket) -> None:
    """Hear until the end, then say what it was."""
    with one:
        heard = hashlib.sha256()
        while data := one.recv(65536):
            heard.update(data)
        one.sendall(heard.digest())


def start(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def main() -> None:
    tap = card()
    if sys.argv[1:] == ["try"]:
        return
    wire = socket.socket(fileno=int(sys.argv[1]))
    wire.connect(("127.0.0.1", int(sys.argv[2])))
    subprocess.run(["sh", "-ec", UP], check=True)
    start(serve, 61614, echo)
    start(serve, 9094, digest)
    start(carry, tap, wire.fileno(), float(sys.argv[3]))
    sys.stdin.read()


if __name__ == "__main__":
    main()
