"""What the guest does about each word that it hears, and when it speaks by itself.

It decides, and knows no socket, process or file: the link, the executor and the journal are given to it.
docs/reference/words.md says the same in prose.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vmcontroller.wire.words import (
    STREAMS,
    Aint,
    Bye,
    CmdAccepted,
    CmdAck,
    CmdResults,
    CmdRun,
    CmdSignal,
    CmdStdin,
    Hello,
    Ping,
    Pong,
    StillAlive,
    Welcome,
    Who,
    Word,
)
from vmcontroller_guest.command import Command
from vmcontroller_guest.identity import Identity
from vmcontroller_guest.interfaces import Ended, Executor, NotStarted, Process
from vmcontroller_guest.joining import Answer, Joining
from vmcontroller_guest.journal import FORGOTTEN, Entry, Journal, JournalFailed
from vmcontroller_guest.line import Line
from vmcontroller_guest.timers import Timer
from vmcontroller_guest.vitals import Vitals

#: Obeyed only when the host has proven itself; it repeats them, so nothing is lost.
_AFTER_PROOF = (CmdStdin, CmdSignal, CmdAck)


class Agent:
    """Drive it with ``start`` once, then ``connected``, ``hear`` and ``disconnected``, and ``stop`` at the end.

    ``say`` is called between ``connected`` and ``disconnected`` only. ``beacon`` is in seconds. ``set_clock``
    sets the machine's clock to seconds since the epoch. ``vitals``, ``wall_clock`` and ``new_nonce`` are for tests
    and systems that differ.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        executor: Executor,
        say: Callable[[Word], None],
        identity: Identity,
        *,
        beacon: float = 10.0,
        set_clock: Callable[[float], None] = lambda seconds: None,
        vitals: Callable[[], Vitals] = Vitals,
        wall_clock: Callable[[], float] = time.time,
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._executor = executor
        self._identity = identity
        self._beacon = beacon
        self._set_clock = set_clock
        self._vitals = vitals
        self._wall_clock = wall_clock
        self._line = Line(say)
        self._joining = Joining(clock, identity.id, identity.secret, self._say_hello, new_nonce)
        self._commands: dict[str, Command] = {}
        self._next_beacon = Timer(clock, self._still_alive)
        self._answers: dict[type[Word], Callable[..., None]] = {
            Who: self._heard_who,
            Welcome: self._heard_welcome,
            Ping: self._heard_ping,
            CmdRun: self._heard_run,
            CmdStdin: self._heard_stdin,
            CmdSignal: self._heard_signal,
            CmdAck: self._heard_ack,
            Aint: self._heard_aint,
        }

    @property
    def session(self) -> int:
        """The number of the present session, 0 before the first."""
        return self._journal.session

    # -- life

    def start(self) -> None:
        """Take up the commands in the journal; what ran when an earlier agent died is ended and ``lost``."""
        remains = self._journal.remains()
        left = self._executor.end_remains(remains) if remains else {}
        for entry in self._journal.living():
            command = self._command(entry, found=True)
            if entry.cmd_id in left:
                self.log.warn("{id} was running when the agent died", id=entry.cmd_id)
                command.was_lost(left[entry.cmd_id])

    def connected(self) -> None:
        """The link is up and every subscription stands."""
        self._line.connected = True
        self._begin_joining()
        if not self._next_beacon.running:
            self._next_beacon.start(self._beacon)

    def disconnected(self) -> None:
        """The link is down."""
        self._line.connected = self._line.joined = self._line.held = False
        self._joining.stop()
        for command in self._commands.values():
            command.hush()

    def hold(self) -> None:
        """The network has more than it can carry: say nothing large until ``release``."""
        self._line.held = True

    def release(self) -> None:
        """The network has caught up."""
        self._line.held = False
        self._go_on()

    def stop(self, reason: str, done: Callable[[], None]) -> None:
        """Say BYE, end every command, keep on disk what there is; call ``done`` when all that is so."""
        self._line.say(Bye(reason))
        self.disconnected()
        self._next_beacon.stop()
        self._executor.end_all(lambda: self._close(done))

    def _close(self, done: Callable[[], None]) -> None:
        for command in self._commands.values():
            command.close()
        done()

    # -- hearing

    def hear(self, word: Word) -> None:
        """Act on a word from the host."""
        answer = self._answers.get(type(word))
        if answer is None:
            self._line.say(Aint(word.WORD, f"{word.WORD} is for guests to say"))
        elif self._line.joined or not isinstance(word, _AFTER_PROOF):
            answer(word)

    def _heard_who(self, word: Who) -> None:
        self._begin_joining()

    def _heard_ping(self, word: Ping) -> None:
        self._line.say(Pong(word.ping_id, word.timestamp))

    def _heard_aint(self, word: Aint) -> None:
        self.log.warn("the host did not understand {about}: {why}", about=word.about, why=word.why)

    # -- joining

    def _begin_joining(self) -> None:
        self._line.joined = False
        self._joining.begin()

    def _say_hello(self, nonce: str) -> None:
        identity = self._identity
        reports = {command.cmd_id: command.report() for command in self._commands.values()}
        self._line.say(
            Hello(
                nonce,
                identity.id,
                self._journal.id,
                self._journal.session,
                identity.name,
                identity.addresses(),
                identity.versions,
                identity.chirp_port,
                reports,
            )
        )

    def _heard_welcome(self, word: Welcome) -> None:
        answer = self._joining.judge(word, self._journal.session)
        if answer is Answer.FRESH:
            self._join(word)
        elif answer is Answer.AGAIN:
            self._confirm_session()
        elif answer is not Answer.STALE:
            self.log.warn("a WELCOME is refused: {why}", why=answer.value)
            self._line.say(Aint(word.WORD, answer.value))

    def _join(self, word: Welcome) -> None:
        try:
            self._journal.begin_session(word.session)
        except JournalFailed as error:
            return self._line.say(Aint(word.WORD, str(error)))
        self._joining.stop()
        self._set_clock(word.time)
        for command in list(self._commands.values()):
            self._obey(command, word)
        self._confirm_session()
        self._line.joined = True
        self.log.info("session {session} begins", session=word.session)
        self._still_alive()
        self._go_on()

    def _obey(self, command: Command, word: Welcome) -> None:
        verdict = word.verdicts.get(command.cmd_id)
        if verdict is not None and verdict.verdict == "forget" and command.has_ended:
            self._forget(command)
        else:
            command.obey(verdict)

    def _confirm_session(self) -> None:
        self._line.say(CmdAck("-", "session", self._journal.session))

    def _go_on(self) -> None:
        for command in list(self._commands.values()):
            command.go_on()

    # -- commands

    def _heard_run(self, word: CmdRun) -> None:
        entry = self._journal.find(word.cmd_id)
        if entry is not None:
            self._say_known(entry)
        elif self._is_for_us(word):
            self._accept(word)

    def _is_for_us(self, word: CmdRun) -> bool:
        addressed = self._identity.id in word.audience and self._journal.session <= word.session
        return self._line.joined and addressed

    def _say_known(self, entry: Entry) -> None:
        forgotten = entry.state == FORGOTTEN
        self._line.say(CmdResults(entry.cmd_id, entry.outcome) if forgotten else CmdAccepted(entry.cmd_id))

    def _accept(self, word: CmdRun) -> None:
        try:
            entry = self._journal.accept(word.cmd_id, self._wall_clock())
        except JournalFailed as error:
            return self._line.say(Aint(word.WORD, str(error)))
        command = self._command(entry, found=False)
        self._line.say(CmdAccepted(word.cmd_id))
        self._run(word, command)

    def _command(self, entry: Entry, found: bool) -> Command:
        spool = self._journal.found_spool if found else self._journal.new_spool
        command = Command(entry, self._journal, self._clock, self._line, spool, voice=not found)
        self._commands[entry.cmd_id] = command
        return command

    def _run(self, word: CmdRun, command: Command) -> None:
        try:
            process = self._executor.start(word, command)
        except NotStarted as error:
            self.log.info("{id} was not started: {why}", id=word.cmd_id, why=error)
            command.ended(Ended("notStarted", reason=str(error)))
        else:
            self.log.info("{id} runs {cmd} as process {pid}", id=word.cmd_id, cmd=word.cmd, pid=process.pid)
            command.runs(process, word.stdin.kind == "stream")
            self._note(word.cmd_id, process)

    def _note(self, cmd_id: str, process: Process) -> None:
        try:
            self._journal.note_process(cmd_id, process.pid, process.born)
        except JournalFailed as error:
            self.log.warn("the process of {id} is not in the journal: {error}", id=cmd_id, error=error)

    def _heard_stdin(self, word: CmdStdin) -> None:
        if command := self._commands.get(word.cmd_id):
            command.stdin(word)
        elif self._journal.find(word.cmd_id):
            self._line.say(CmdAck(word.cmd_id, "stdin", word.offset + len(word.data)))

    def _heard_signal(self, word: CmdSignal) -> None:
        if command := self._commands.get(word.cmd_id):
            command.signal(word)
        elif self._journal.find(word.cmd_id):
            self._line.say(CmdAck(word.cmd_id, "signal", signal_id=word.signal_id))

    def _heard_ack(self, word: CmdAck) -> None:
        command = self._commands.get(word.cmd_id)
        if command is None:
            return
        if word.of in STREAMS:
            command.confirm_stream(word.of, word.offset)
        elif word.of == "results" and command.has_ended:
            self._forget(command)

    def _forget(self, command: Command) -> None:
        """The host has everything: free it, and keep a tombstone."""
        try:
            self._journal.forget(command.cmd_id)
        except JournalFailed as error:
            return self.log.warn("{id} cannot be forgotten yet: {error}", id=command.cmd_id, error=error)
        del self._commands[command.cmd_id]
        command.clear()

    # -- beacons

    def _still_alive(self) -> None:
        self._next_beacon.start(self._beacon)
        used = self._executor.resources()
        if self._line.joined:
            vitals = self._vitals()
            watched = {command.cmd_id for command in self._commands.values() if command.is_watched}
            live = {cmd_id: fields for cmd_id, fields in used.items() if cmd_id in watched}
            self._line.say(StillAlive(vitals.load, vitals.memory, vitals.disk, live))
