"""How far a VM is made: its image may have to be read and converted first, which takes minutes when it is large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from vmcontroller.cli.drawing import Draw, progress_line
from vmcontroller.cli.session import Session
from vmcontroller.client import ApiFault, Client
from vmcontroller.errors import VMControllerError

#: Seconds between two looks.
LOOK_SECONDS = 0.2


@contextmanager
def shown(session: Session, api: Client, vm: str) -> Iterator[None]:
    """Meanwhile, on a terminal, a line that shows how far the VM's image is."""
    with progress_line(session) as draw:
        if draw is None:
            yield
            return
        over = Event()
        watching = Thread(target=_watch, args=(api.another(), vm, draw, over), daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()


def _watch(api: Client, vm: str, draw: Draw, over: Event) -> None:
    with suppress(ApiFault, VMControllerError), api:
        while not over.wait(LOOK_SECONDS):
            told = api.call("getCreation", vm)
            if told["total"]:
                draw(f"the image of {vm}", told["done"], told["total"])
