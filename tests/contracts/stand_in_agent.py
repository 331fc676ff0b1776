"""A guest agent in small: it obeys the agent's command line, opens its two ports and its door, and runs nothing.

It starts in a tenth of the real one's time, so tests that are about the hypervisor alone use it. With ``--mood``
it misbehaves: ``dies`` before it has opened its ports, is ``silent`` about them, or is ``deaf`` to SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socketserver
import sys
import threading
from pathlib import Path

from vmcontroller.wire.door import AgentSide, DoorRefused


def arguments() -> argparse.Namespace:
    """What the hypervisor says, all of it demanded as the real agent demands it."""
    parser = argparse.ArgumentParser()
    for name in ("--seed", "--state", "--serve"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--door-port", "--chirp-port", "--ports-fd"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--mood", choices=["dies", "silent", "deaf"])
    return parser.parse_args()


class Server(socketserver.ThreadingTCPServer):
    """One of the two ports."""

    allow_reuse_address = True
    daemon_threads = True
    secret = ""


class Door(socketserver.BaseRequestHandler):
    """The three lines of vmcontroller.wire.door, then silence until the daemon hangs up."""

    server: Server

    def handle(self) -> None:
        side = AgentSide(self.server.secret)
        self.request.sendall(side.greeting())
        try:
            while data := self.request.recv(4096):
                self.request.sendall(side.feed(data))
        except (DoorRefused, OSError):
            pass


def listen(host: str, port: int, handler: type[socketserver.BaseRequestHandler]) -> Server:
    """A server in a thread of its own."""
    server = Server((host, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Listen until SIGTERM."""
    options = arguments()
    if options.mood == "dies":
        sys.exit("the stand-in dies\nas it was told to")
    if options.mood == "silent":
        signal.pause()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    door = listen(options.listen, options.door_port, Door)
    door.secret = json.loads(options.seed.read_text())["secret"]
    chirp = listen(options.listen, options.chirp_port, socketserver.BaseRequestHandler)
    ports = {"door": door.server_address[1], "chirp": chirp.server_address[1]}
    os.write(options.ports_fd, json.dumps(ports).encode() + b"\n")
    os.close(options.ports_fd)
    (options.state / "started").touch()
    if options.mood == "deaf":
        signal.pause()
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
