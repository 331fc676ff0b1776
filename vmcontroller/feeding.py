"""Feeds commands: what callers write lies in a spool on the host's disk, and goes from there to each guest.

Whoever writes faster than the programs read is made to wait, so that the spool does not outgrow the disk.
"""

from __future__ import annotations

from collections.abc import Callable

from vmcontroller.errors import BadRequest, CommandEnded
from vmcontroller.guests import Guests
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import STDIN, Outputs
from vmcontroller.records import Command
from vmcontroller.repeats import Repeats
from vmcontroller.stdin import StdinPump
from vmcontroller.waiters import Waiters
from vmcontroller.wire.words import Word

#: Seconds without a confirmation after which input is said again.
PATIENCE = 5.0
#: Octets that may wait for the slowest VM before the writer does, and the seconds that he waits at most.
MOST_AHEAD = 8 * 1024 * 1024
LONGEST_WAIT = 5.0


def takes_input(command: Command) -> bool:
    """It was run with an input that is written while it runs."""
    return command.request.stdin.get("kind") == "stream"


class Feeder:
    """The input of all commands. ``say(vm, word)`` speaks to a guest."""

    def __init__(
        self,
        ledger: Ledger,
        outputs: Outputs,
        guests: Guests,
        repeats: Repeats,
        waiters: Waiters,
        say: Callable[[str, Word], None],
    ) -> None:
        self._ledger = ledger
        self._outputs = outputs
        self._guests = guests
        self._repeats = repeats
        self._waiters = waiters
        self._say = say
        self._pumps: dict[tuple[str, str], StdinPump] = {}

    # -- for those who write

    async def write(self, command: Command, data: bytes) -> None:
        """Add to the input at every VM, and wait while too much is ahead of the slowest. CommandEnded, DiskFull."""
        cmd_id = command.cmd_id
        self._check_open(command)
        if command.stdin_closed:
            raise CommandEnded(f"the input of {cmd_id} was closed already")
        self._outputs.append(cmd_id, "", STDIN, self._outputs.length(cmd_id, "", STDIN), data)
        self._feed_all(command)
        await self._waiters.until((STDIN, cmd_id), lambda: self._ahead(cmd_id) < MOST_AHEAD, LONGEST_WAIT)

    def close(self, command: Command) -> None:
        """The input ends here: the command reads end-of-file after what was written. CommandEnded."""
        self._check_open(command)
        self._ledger.close_stdin(command.cmd_id)
        self._feed_all(command)

    def _check_open(self, command: Command) -> None:
        if not takes_input(command):
            raise BadRequest(f"{command.cmd_id} takes no input; run it with the option stdin='stream'")
        if all(part.ended for part in self._ledger.parts(command.cmd_id)):
            raise CommandEnded(f"{command.cmd_id} has ended and reads no more input")

    def _ahead(self, cmd_id: str) -> int:
        """The octets that the slowest VM has not taken; one that sleeps has taken none since it joined."""
        spooled = self._outputs.length(cmd_id, "", STDIN)
        running = [part.vm for part in self._ledger.parts(cmd_id) if not part.ended]
        pumps = [self._pumps.get((cmd_id, vm)) for vm in running]
        return max((pump.unconfirmed if pump else spooled for pump in pumps), default=0)

    def _feed_all(self, command: Command) -> None:
        for part in self._ledger.parts(command.cmd_id):
            if not part.ended and self._guests.get(part.vm):
                self.feed(command.cmd_id, part.vm)

    # -- for those who hear guests

    def begin_anew(self, cmd_id: str, vm: str) -> None:
        """The guest has joined and may have forgotten what it had: it gets all of it, as far as it lets us."""
        self._pumps.pop((cmd_id, vm), None)
        self.feed(cmd_id, vm)

    def feed(self, cmd_id: str, vm: str) -> None:
        """Say what input there is and the guest has not confirmed."""
        command = self._ledger.command(cmd_id)
        if command is None or not takes_input(command):
            return
        if (cmd_id, vm) not in self._pumps:
            self._pumps[cmd_id, vm] = StdinPump(self._outputs, cmd_id, lambda word: self._say(vm, word))
        pump = self._pumps[cmd_id, vm]
        pump.closed = command.stdin_closed
        pump.pump()
        self._watch(cmd_id, vm, pump)

    def confirmed(self, cmd_id: str, vm: str, offset: int) -> None:
        """The guest has taken its input up to this offset."""
        pump = self._pumps.get((cmd_id, vm))
        if pump is not None:
            pump.confirmed(offset)
            self._watch(cmd_id, vm, pump)
            self._waiters.notify((STDIN, cmd_id))

    def _watch(self, cmd_id: str, vm: str, pump: StdinPump) -> None:
        if pump.idle:
            self._repeats.stop((vm, STDIN, cmd_id))
        else:
            self._repeats.later((vm, STDIN, cmd_id), pump.probe, wait=PATIENCE)

    def ended(self, cmd_id: str, vm: str) -> None:
        """Nobody reads there any more."""
        self._repeats.stop((vm, STDIN, cmd_id))
        self._pumps.pop((cmd_id, vm), None)
        self._waiters.notify((STDIN, cmd_id))
