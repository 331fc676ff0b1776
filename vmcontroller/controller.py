"""What the host does: it decides what to say to guests, and what becomes of what they say.

It knows the ledger, the files of output and the clock. It knows no socket and no hypervisor: words go out through
``speaker``, and whoever is meant by a name was looked up before. docs/reference/words.md is the law here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vmcontroller.commands import Event, State, after
from vmcontroller.errors import BadRequest, CommandConflict, CommandEnded, DiskFull, PingTimeout, UnknownCommand
from vmcontroller.feeding import Feeder
from vmcontroller.guests import Guests
from vmcontroller.intake import Intake
from vmcontroller.ledger import Ledger
from vmcontroller.outputs import STDIN, Outputs
from vmcontroller.reconciliation import judge, verdicts
from vmcontroller.records import Command, Part, Request
from vmcontroller.repeats import Repeats
from vmcontroller.sessions import Offer, Sessions
from vmcontroller.waiters import Waiters
from vmcontroller.wire import keys, words
from vmcontroller.wire.fields import as_cmd_id
from vmcontroller.wire.words import Word

#: Seconds after which WHO is repeated.
PATIENCE = 5.0
#: Octets that a command, its arguments, environment and input may take together: brokers bound what they carry.
MOST_ASKED = 4 * 1024 * 1024


class Speaker(Protocol):
    """Where words go out. What cannot be said now is dropped: every word that matters is repeated."""

    def say(self, vm: str, word: Word, session: int) -> None:
        """To one guest, in this session."""

    def say_all(self, group: str, word: Word) -> None:
        """To every guest of a group."""


class Controller:
    """Commands and guests. ``wall`` gives seconds since the epoch, ``clock`` the monotonic time."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], float],
        ledger: Ledger,
        outputs: Outputs,
        speaker: Speaker,
        grace: float = 30.0,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._ledger = ledger
        self._outputs = outputs
        self._speaker = speaker
        self.guests = Guests(grace)
        self.waiters = Waiters(clock)
        self._intake = Intake(ledger, outputs, self._say, self._grown, self._ended)
        self._repeats = Repeats(clock)
        self._feeder = Feeder(ledger, outputs, self.guests, self._repeats, self.waiters, self._say)
        self._sessions: dict[str, Sessions] = {}
        self._pings: dict[tuple[str, str], Deferred[None]] = {}
        self._hear: Mapping[type[Word], Callable[[str, Any], None]] = {
            words.Hello: self._heard_hello,
            words.Bye: self._heard_bye,
            words.StillAlive: self._heard_still_alive,
            words.Pong: self._heard_pong,
            words.CmdAccepted: self._heard_accepted,
            words.CmdOutput: self._intake.output,
            words.CmdResults: self._intake.results,
            words.CmdAck: self._heard_ack,
            words.Aint: self._heard_aint,
        }

    def close(self) -> None:
        """Say nothing more; whoever waits is woken."""
        self._repeats.stop_all()
        self.waiters.close()

    # -- hearing

    def heard(self, vm: str, word: Word, session: int) -> None:
        """A guest said this, in this session. ``vm`` is who the broker let speak there."""
        hear = self._hear.get(type(word))
        if self._ledger.guest(vm) is None:
            return
        if hear is None:
            self._say(vm, words.Aint(word.WORD, "a guest does not say this to a host"))
            return
        try:
            self.guests.heard(vm, self._clock.seconds())
            self._confirmed(vm, session)
            if not words.is_void(word, session, self._sessions_of(vm).confirmed):
                hear(vm, word)
        except DiskFull as error:  # what is not confirmed is said again
            self.log.warn("{error}", error=error)

    def _confirmed(self, vm: str, session: int) -> None:
        """Whoever speaks in an offered session has written it down."""
        sessions = self._sessions_of(vm)
        offer = sessions.confirm(session)
        if offer is not None:
            self._join(vm, offer)
        elif session > sessions.confirmed and not self._repeats.running((vm, "who")):
            self.ask_who(vm)  # we offered it before we restarted, and have forgotten its HELLO

    def _say(self, vm: str, word: Word) -> None:
        self._speaker.say(vm, word, self._sessions_of(vm).confirmed)

    def _heard_hello(self, vm: str, hello: words.Hello) -> None:
        guest = self._ledger.guest(vm)
        assert guest is not None
        restored = guest.restored or self._ledger.was_rolled_offer(vm, hello.session)
        older, offer = self._sessions_of(vm).hello(hello, restored, self._ledger.next_session)
        if older is not None:
            self._join(vm, older)
        if offer.rolled_back:
            self._ledger.note_rolled_offer(vm, offer.session)
        proof = keys.welcome_proof(guest.secret, vm, hello.nonce, offer.session)
        said = verdicts(self._ledger, self._outputs, vm, offer)
        self._say(vm, words.Welcome(offer.session, hello.nonce, proof, self._wall(), said))

    def _sessions_of(self, vm: str) -> Sessions:
        if vm not in self._sessions:
            guest = self._ledger.guest(vm)
            self._sessions[vm] = Sessions(guest.session, guest.journal) if guest else Sessions()
        return self._sessions[vm]

    def _heard_bye(self, vm: str, word: words.Bye) -> None:
        self.log.info("{vm} left: {reason}", vm=vm, reason=word.reason)
        self.stopped(vm)

    def _heard_still_alive(self, vm: str, word: words.StillAlive) -> None:
        if not self.guests.heard(vm, self._clock.seconds(), word):
            self._say(vm, words.Who())

    def _heard_pong(self, vm: str, word: words.Pong) -> None:
        asked = self._pings.pop((vm, word.ping_id), None)
        if asked is not None:  # a late PONG, or one that nobody asked for, wakes nobody
            asked.callback(None)

    def _heard_aint(self, vm: str, word: words.Aint) -> None:
        self.log.warn("{vm} does not understand {about}: {why}", vm=vm, about=word.about, why=word.why)

    def _heard_accepted(self, vm: str, word: words.CmdAccepted) -> None:
        part = self._ledger.part(word.cmd_id, vm)
        self._repeats.stop((vm, "run", word.cmd_id))
        if part is not None and part.state is State.SENT:
            self._ledger.accepted(word.cmd_id, vm)

    def _heard_ack(self, vm: str, word: words.CmdAck) -> None:
        if word.of == "signal":
            self._repeats.stop((vm, "signal", word.signal_id))
            self._ledger.remove_signal(vm, word.signal_id)
        elif word.of == STDIN:
            self._feeder.confirmed(word.cmd_id, vm, word.offset)

    # -- joining and leaving

    def _join(self, vm: str, offer: Offer) -> None:
        """The guest has confirmed this offer: judge its HELLO, then say whatever it lacks."""
        judgement = judge(self._ledger, self._outputs, vm, offer)
        self._ledger.judge(vm, offer.session, offer.hello.journal, judgement.moves, judgement.strangers)
        self.guests.joined(vm, offer.hello, self._clock.seconds())
        self.log.info("{vm} joined, session {session}", vm=vm, session=offer.session)
        self._repeats.stop((vm, "who"))
        for cmd_id in judgement.ended:
            self._ended(cmd_id, vm)
        for cmd_id in judgement.send:
            self._repeats.start((vm, "run", cmd_id), partial(self._send, cmd_id, vm))
        for signal_id, cmd_id, signal in self._ledger.signals(vm):
            self._send_signal(vm, signal_id, cmd_id, signal)
        for part in self._ledger.open_parts(vm):
            self._feeder.begin_anew(part.cmd_id, vm)
            self._grown(part.cmd_id)
        for ping_id in [ping_id for asked, ping_id in self._pings if asked == vm]:
            self._say_ping(vm, ping_id)  # asked before it was there to hear it
        self.waiters.notify(("vm", vm))

    async def wait_for_guest(self, vm: str, timeout: float) -> bool:
        """Wait until the guest is there to take commands; False when that took longer than ``timeout`` seconds."""
        return await self.waiters.until(("vm", vm), lambda: self.guests.get(vm) is not None, timeout)

    def ask_who(self, vm: str) -> None:
        """Ask a guest for HELLO until it joins anew: we have restarted, a snapshot was taken, its clock is wrong."""
        self._repeats.start((vm, "who"), lambda: self._say(vm, words.Who()), wait=PATIENCE)

    def ask_all(self) -> None:
        """Ask every guest that is there: the computer has slept, or its clock was set."""
        self.log.info("the clock went otherwise than time: the guests are told what time it is")
        for vm in self.guests.alive():
            self.ask_who(vm)

    def holding(self, vm: str) -> list[tuple[str, State, int, int]]:
        """What a snapshot taken now holds: each open command, its state, the octets of out and err that are here."""
        length = self._outputs.length
        return [
            (part.cmd_id, part.state, length(part.cmd_id, vm, "out"), length(part.cmd_id, vm, "err"))
            for part in self._ledger.open_parts(vm)
        ]

    def restored(self, vm: str) -> None:
        """The VM is about to be brought back to a snapshot: what it says next tells of a roll-back."""
        self._ledger.mark_restored(vm)
        self._sessions_of(vm).offers.clear()
        self.stopped(vm)

    def stopped(self, vm: str) -> None:
        """The VM does not run now; its guest is nobody until it joins again, and is told the rest then."""
        self._repeats.stop_all(vm)
        self.guests.left(vm)
        self.waiters.notify(("vm", vm))

    def removed(self, vm: str) -> None:
        """The VM is gone for good, and with it what it had not told yet."""
        result = {"outcome": State.LOST.value, "exitCodeOrSignal": -1, "reason": "the VM was removed"}
        for part in self._ledger.open_parts(vm):
            self._ledger.set_state(part.cmd_id, vm, after(part.state, Event.REMOVED), result)
            self._ended(part.cmd_id, vm)
        self.stopped(vm)
        self._sessions.pop(vm, None)
        self._ledger.remove_guest(vm)

    # -- running commands

    def run(self, cmd_id: str, request: Request, audience: Mapping[str, str]) -> str:
        """Write a command down and send it. ``audience`` maps the ids of the VMs it is meant for to their names.

        The same id and request again give the same command; CommandConflict if the request differs. DiskFull.
        """
        known = self._ledger.command(cmd_id)
        if known is None:
            word = _checked_word(cmd_id, request)
            self._outputs.demand_room()
            self._ledger.add_command(cmd_id, self._wall(), request, audience)
            self._broadcast(word, request.group, audience)
        elif known.request != request:
            raise CommandConflict(f"{cmd_id} stands for another command already; choose another cmdId")
        return cmd_id

    def _broadcast(self, word: words.CmdRun, group: str, audience: Mapping[str, str]) -> None:
        """One message for all who are ready to take it; whoever is not gets its own when it joins."""
        ready = [vm for vm in audience if self.guests.get(vm) and not self._sessions_of(vm).offers]
        if len(ready) == 1:
            self._say_run(word, ready[0])
        elif ready:
            session = max(self._sessions_of(vm).confirmed for vm in ready)
            self._speaker.say_all(group, replace(word, session=session, audience=tuple(ready)))
        for vm in ready:
            again = partial(self._send, word.cmd_id, vm)
            self._repeats.later((vm, "run", word.cmd_id), again)

    def _send(self, cmd_id: str, vm: str) -> None:
        self._say_run(_run_word(cmd_id, self.command(cmd_id).request), vm)

    def _say_run(self, word: words.CmdRun, vm: str) -> None:
        self._say(vm, replace(word, session=self._sessions_of(vm).confirmed, audience=(vm,)))

    def command(self, cmd_id: str) -> Command:
        """The command of this id, or UnknownCommand."""
        command = self._ledger.command(cmd_id)
        if command is None:
            raise UnknownCommand(f"no command has the id {cmd_id!r}; listCmds() names all that are known")
        return command

    def _grown(self, cmd_id: str) -> None:
        """There is more to tell of a command than before."""
        self.waiters.notify(("cmd", cmd_id))

    def _ended(self, cmd_id: str, vm: str) -> None:
        """A part has its outcome: nothing more is said of it."""
        self._repeats.stop((vm, "run", cmd_id))
        self._feeder.ended(cmd_id, vm)
        for signal_id, other, _ in self._ledger.signals(vm):
            if other == cmd_id:
                self._repeats.stop((vm, "signal", signal_id))
                self._ledger.remove_signal(vm, signal_id)
        self._grown(cmd_id)

    def forget(self, cmd_id: str) -> None:
        """Remove an ended command and all that it printed. BadRequest while it runs anywhere."""
        self.command(cmd_id)
        if any(not part.ended for part in self._ledger.parts(cmd_id)):
            raise BadRequest(f"{cmd_id} has not ended everywhere; signalCmd({cmd_id!r}, 9) ends it")
        self._outputs.remove(cmd_id)  # first: what the ledger does not know nobody would remove
        self._ledger.forget(cmd_id)

    # -- signals and input

    def signal(self, cmd_id: str, signal: int, parts: list[Part]) -> None:
        """Send a signal to the command at these VMs, once each. CommandEnded if it has ended at all of them."""
        running = [part for part in parts if not part.ended]
        if not running:
            raise CommandEnded(f"{cmd_id} has ended; no process of it is there to take a signal")
        for part in running:
            signal_id = str(uuid.uuid4())
            self._ledger.add_signal(signal_id, cmd_id, part.vm, signal)
            self._send_signal(part.vm, signal_id, cmd_id, signal)

    def _send_signal(self, vm: str, signal_id: str, cmd_id: str, signal: int) -> None:
        """Who is not there now is told when it joins."""
        word = words.CmdSignal(cmd_id, signal_id, signal)
        if self.guests.get(vm):
            self._repeats.start((vm, "signal", signal_id), lambda: self._say(vm, word))

    def kill_stranger(self, vm: str, cmd_id: str) -> None:
        """End a command that a guest runs and this ledger does not know. UnknownCommand if there is none."""
        if not self._ledger.kill_stranger(vm, cmd_id):
            raise UnknownCommand(f"{vm} has no foreign command {cmd_id!r}; listForeignCmds() names them")
        signal_id = str(uuid.uuid4())
        self._ledger.add_signal(signal_id, cmd_id, vm, 9)
        self._send_signal(vm, signal_id, cmd_id, 9)
        if self.guests.get(vm):
            self.ask_who(vm)

    async def write_stdin(self, cmd_id: str, data: bytes) -> None:
        """Add to the command's input, at every VM that it runs on. CommandEnded when nobody would read it.

        Waits, a few seconds at most, while what was written is far ahead of what is read.
        """
        await self._feeder.write(self.command(cmd_id), data)

    def close_stdin(self, cmd_id: str) -> None:
        """The input ends here: the command reads end-of-file after what was written. CommandEnded."""
        self._feeder.close(self.command(cmd_id))

    # -- asking guests

    async def ping(self, vm: str, timeout: float) -> None:
        """Wait for a PONG, at most ``timeout`` seconds; PingTimeout."""
        ping_id = str(uuid.uuid4())
        asked: Deferred[None] = Deferred()
        asked.addTimeout(timeout, self._clock)
        self._pings[vm, ping_id] = asked
        self._say_ping(vm, ping_id)
        try:
            await asked
        except TimeoutError:
            raise PingTimeout(f"no PONG within {timeout:g} s") from None
        finally:
            self._pings.pop((vm, ping_id), None)

    def _say_ping(self, vm: str, ping_id: str) -> None:
        self._say(vm, words.Ping(ping_id, repr(self._wall())))


def _run_word(cmd_id: str, request: Request) -> words.CmdRun:
    """The request as a word, in no session and for nobody yet."""
    return words.CmdRun(
        *(cmd_id, request.cmd, 0, (), request.args, request.env, request.path),
        stdin=words.stdin_of(request.stdin),
        limits=words.limits_of(request.limits),
    )


def _checked_word(cmd_id: str, request: Request) -> words.CmdRun:
    """The same, unless it could never be said: that is refused before it is written down."""
    try:
        as_cmd_id(cmd_id)
    except ValueError as error:
        raise BadRequest(f"runCmd: {cmd_id!r} {error}") from None
    try:
        word = _run_word(cmd_id, request)
        _, body = words.say(word)
    except UnicodeEncodeError:
        raise BadRequest("runCmd: a text holds half a surrogate pair, which is no character") from None
    except ValueError as error:
        raise BadRequest(f"runCmd: {error}") from None
    if len(body) > MOST_ASKED:
        raise BadRequest(
            f"runCmd: arguments, environment and input are {len(body)} octets together, {MOST_ASKED} are allowed;"
            " put a file into the VM, or write the input with writeStdin"
        )
    return word
