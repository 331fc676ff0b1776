"""What every verb has at hand: its arguments, the daemon, and the two streams on which it tells."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from vmcontroller import client
from vmcontroller.cli.render import plain
from vmcontroller.errors import NotRunning

#: Seconds that the agents of all VMs that run have for coming back to a daemon that a verb had to start.
GUESTS_SECONDS = 10.0


@dataclass(frozen=True)
class Session:
    """One invocation of one verb."""

    arguments: Namespace
    out: TextIO
    err: TextIO

    @property
    def state_dir(self) -> Path:
        """The state directory whose daemon is meant."""
        chosen = self.arguments.state_dir
        return Path(chosen).absolute() if chosen else client.default_state_dir()

    def connect(self) -> client.Client:
        """A client of the daemon that runs; NotRunning."""
        return client.connect(self.state_dir, cwd=_here())

    def api(self) -> client.Client:
        """A client of the daemon; where none runs one is started, that said, and the agents given time to come back."""
        try:
            return self.connect()
        except NotRunning:
            address = client.start(self.state_dir)
            self.say(f"started a daemon for {self.state_dir} (pid {address.pid})")
            api = self.connect()
            _await_guests(api)
            return api

    def say(self, sentence: str) -> None:
        """One sentence on stderr, where it disturbs no script."""
        print(f"vmcontroller: {sentence}", file=self.err, flush=True)

    def show(self, value: Any, text: str) -> None:
        """The verb's result: as JSON where that was asked for, else as text ("" shows nothing)."""
        shown = json.dumps(plain(value), indent=2) if self.arguments.json else text
        if shown:
            print(shown, file=self.out)


def _await_guests(api: client.Client) -> None:
    """VMs that ran on without a daemon have to find the new one, before which they take no command."""
    deadline = time.monotonic() + GUESTS_SECONDS
    with suppress(client.ApiFault):  # what is wrong with a VM is told to whoever asks something of it
        for vm in api.call("listRunningVMs"):
            api.call("waitForVM", vm, max(0.0, deadline - time.monotonic()))


def _here() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
