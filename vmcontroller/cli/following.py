"""Follow one command until it has ended in all its VMs: output out, input in, signals through.

One thread waits for each VM's output and one for the input, each with a connection of its own; the main
thread takes the events that they and the signals leave, in the order in which they happened.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from vmcontroller.cli.patience import Patience
from vmcontroller.cli.sinks import Sink
from vmcontroller.client import ApiFault, Client, octets
from vmcontroller.errors import CommandEnded

#: Seconds that one call waits for more output. On Windows it also bounds how long Ctrl-C takes.
POLL_SECONDS = 2.0
#: Seconds between two looks at what is waited for.
LOOK_SECONDS = 1.0
#: Octets of input that one call carries.
INPUT_OCTETS = 64 * 1024
SIGKILL = 9
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")

#: The signal to send, or the VM whose output has ended together with what went wrong there.
Event = int | tuple[str, Exception | None]
Events = queue.SimpleQueue[Event]


class Following:
    """A command that runs."""

    def __init__(self, api: Client, cmd_id: str, events: Events, patience: Patience) -> None:
        self._api = api
        self._cmd_id = cmd_id
        self._events = events
        self._patience = patience

    def follow(self, sinks: Mapping[str, tuple[Sink, Sink]]) -> bool:
        """True when the command has ended in every VM of ``sinks`` and all of it was shown; False when its time is up.

        ApiFault, NotRunning, OSError of a sink.
        """
        for vm, (out, err) in sinks.items():
            self._in_thread(vm, partial(copy_output, cmd_id=self._cmd_id, vm=vm, out=out, err=err))
        running = set(sinks)
        while running and not self._patience.is_over():
            event = self._next()
            if isinstance(event, int):
                self._send(event)
            elif event:
                vm, error = event
                if error:
                    raise error
                running.discard(vm)
        return not running

    def feed(self, descriptor: int) -> None:
        """Pass on an open file as the command's input, beside all else."""
        self._in_thread("", partial(copy_input, cmd_id=self._cmd_id, descriptor=descriptor))

    def _in_thread(self, vm: str, deed: Callable[[Client], None]) -> None:
        def run() -> None:
            try:
                with self._api.another() as api:
                    deed(api)
                self._events.put((vm, None))
            except Exception as error:
                self._events.put((vm, error))

        threading.Thread(target=run, daemon=True).start()

    def _next(self) -> Event | None:
        try:
            return self._events.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            self._patience.look()
            return None

    def _send(self, number: int) -> None:
        with ended_is_fine():
            self._api.call("signalCmd", self._cmd_id, number)
        self._patience.signalled(number)


def copy_output(api: Client, cmd_id: str, vm: str, out: Sink, err: Sink) -> None:
    """Pass on both streams as they grow, until the command has ended in this VM."""
    had_out = had_err = 0
    while True:
        more = api.call("waitForOutput", cmd_id, had_out, had_err, POLL_SECONDS, vm)
        new_out, new_err = octets(more["out"]), octets(more["err"])
        if new_out:
            out.write(new_out)
        if new_err:
            err.write(new_err)
        had_out, had_err = had_out + len(new_out), had_err + len(new_err)
        if more["ended"]:
            break
    out.end()
    err.end()


def copy_input(api: Client, cmd_id: str, descriptor: int) -> None:
    """Pass on an open file until its end; a command that has ended reads no more."""
    with ended_is_fine():
        while data := _read(descriptor):
            api.call("writeStdin", cmd_id, data)
        api.call("closeStdin", cmd_id)


def _read(descriptor: int) -> bytes:
    """What is there; a terminal that is another's, or gone, has nothing more."""
    try:
        return os.read(descriptor, INPUT_OCTETS)
    except OSError:
        return b""


@contextmanager
def ended_is_fine() -> Iterator[None]:
    """A command that has ended meanwhile needs neither signals nor input."""
    try:
        yield
    except ApiFault as fault:
        if fault.code != CommandEnded.code:
            raise


@contextmanager
def forwarding(events: Events) -> Iterator[None]:
    """While it lasts the first signal becomes an event, the second becomes SIGKILL, the third KeyboardInterrupt.

    Signals that this process ignores stay ignored.
    """
    came = 0

    def note(number: int, frame: Any) -> None:
        nonlocal came
        came += 1
        if came > 2:
            raise KeyboardInterrupt
        events.put(number if came == 1 else SIGKILL)

    known = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in known if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
