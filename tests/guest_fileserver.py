"""``python -m tests.guest_fileserver ROOT PUBLIC_PEM_FILE``: the guest's file server as a process that can be killed.

Prints its port and serves until it is ended.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vmcontroller_guest.fileserver import ChirpFactory


def main(root: str, public_key: str) -> None:
    """Serve ``root``."""
    from twisted.internet import reactor

    factory = ChirpFactory(Path(root), Path(public_key).read_text(), reactor)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
