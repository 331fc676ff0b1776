"""One command in the guest, from its acceptance until the host has confirmed its result.

It hears from its processes, speaks to the host while it has a voice, and keeps the journal true in between.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from vmcontroller.wire.words import (
    CHUNK,
    STREAMS,
    WINDOW,
    Aint,
    CmdAck,
    CmdOutput,
    CmdResults,
    CmdSignal,
    CmdStdin,
    CommandReport,
    StreamReport,
    Verdict,
)
from vmcontroller_guest.interfaces import Ended, Process
from vmcontroller_guest.journal import DEAD, FINISHED, RUNNING, Entry, Journal, JournalFailed
from vmcontroller_guest.line import Line
from vmcontroller_guest.spool import Spool
from vmcontroller_guest.stream import RETRY, OutStream
from vmcontroller_guest.timers import Repeater, Timer

#: Seconds until a result is said again, and the longest wait that this grows to.
FIRST_WAIT, LONGEST_WAIT = 2.0, 30.0

_WHY_LOST = "The agent that ran it was stopped or killed; what was left of its processes has been ended."


class Command:
    """A command as ``entry`` in the journal has it, with its octets in the spools that ``spool`` gives.

    It has a ``voice`` when the host wants to hear of it: from the start, or by a verdict.
    """

    log = Logger()

    def __init__(
        self,
        entry: Entry,
        journal: Journal,
        clock: IReactorTime,
        line: Line,
        spool: Callable[[str, str], Spool],
        voice: bool = False,
    ) -> None:
        self.cmd_id = entry.cmd_id
        self.state = entry.state
        self._entry = entry
        self._journal = journal
        self._line = line
        self._voice = voice
        self._process: Process | None = None
        self._streams = {name: self._stream(clock, name, spool(entry.cmd_id, name)) for name in STREAMS}
        self._paused: set[str] = set()
        self._lengths = {"out": entry.out, "err": entry.err}
        self._input = Input()
        self._signals: set[str] = set()
        self._results = Repeater(clock, self._say_results, FIRST_WAIT, LONGEST_WAIT)
        self._fresh: CmdResults | None = None
        self._end: Ended | None = None
        self._concluding = Timer(clock, self._conclude)
        if self.has_ended:
            self._drop_inline_streams()

    def _stream(self, clock: IReactorTime, name: str, spool: Spool) -> OutStream:
        def send(offset: int, data: bytes) -> None:
            self._line.say(CmdOutput(self.cmd_id, name, offset, data))

        return OutStream(clock, spool, send, self._may_speak, self._moved)

    def _may_speak(self) -> bool:
        return self._voice and self._line.free

    # -- its processes speak

    def runs(self, process: Process, takes_input: bool) -> None:
        """It was started; ``takes_input`` when CMD_STDIN brings its input."""
        self._process = process
        self._input.wanted = takes_input

    def output(self, stream: str, data: bytes) -> None:
        """See Listener."""
        self._streams[stream].take(data)
        if self._streams[stream].full and self._process is not None:
            self._paused.add(stream)
            self._process.pause(stream)

    def consumed(self, count: int) -> None:
        """See Listener."""
        self._input.consumed += count
        if self._input.wanted and self._line.joined:
            self._line.say(CmdAck(self.cmd_id, "stdin", self._input.consumed))

    def ended(self, end: Ended) -> None:
        """See Listener."""
        self._process = None
        self._paused.clear()
        self._end = end
        self._conclude()

    def _conclude(self) -> None:
        """Write the result down, then say it. While the disk is full, wait: nothing unwritten is said."""
        assert self._end is not None
        try:
            reports = {name: stream.report() for name, stream in self._streams.items()}
            results = _results(self._entry, self._end, reports)
            self._finish(results, FINISHED)
        except (OSError, JournalFailed) as error:
            self.log.warn("the result of {id} waits for the disk: {error}", id=self.cmd_id, error=error)
            return self._concluding.start(RETRY)
        self._fresh = results
        self.go_on()
        self._fresh = None

    def was_lost(self, left: int) -> None:
        """The agent that ran it died; its processes are gone by now, ``left`` of them had to be ended."""
        reports = {name: stream.saved_report() for name, stream in self._streams.items()}
        end = Ended("lost", reason=_WHY_LOST, left=left)
        self._finish(_results(self._entry, end, reports), DEAD)

    def _finish(self, results: CmdResults, state: str) -> None:
        self._journal.finish(results, state)
        self.log.info(
            "{r.cmd_id}: {r.outcome} {r.exit_code_or_signal} after {r.seconds:.3f} s, {r.left} left. {r.reason}",
            r=results,
        )
        self.state = state
        self._lengths = {"out": results.out.length, "err": results.err.length}
        self._drop_inline_streams()

    def _drop_inline_streams(self) -> None:
        """What travels along in the result needs neither a spool nor CMD_OUTPUT."""
        for name in STREAMS:
            if self._lengths[name] <= CHUNK:
                self._streams.pop(name).clear()

    # -- the host speaks

    @property
    def has_ended(self) -> bool:
        """Its result is in the journal."""
        return self.state != RUNNING

    @property
    def is_watched(self) -> bool:
        """It runs, and the host wants to hear of it."""
        return self._voice and self.state == RUNNING

    def report(self) -> CommandReport:
        """What HELLO says of it."""
        lengths = self._lengths | {name: stream.length for name, stream in self._streams.items()}
        return CommandReport(self.state, lengths["out"], lengths["err"])

    def obey(self, verdict: Verdict | None) -> None:
        """A session begins: hold what the host has against what is here. ``go_on`` makes it speak."""
        self._results.stop()
        self._voice = verdict is not None and verdict.verdict != "foreign"
        for name, stream in self._streams.items():
            stream.rewind(getattr(verdict, name, 0))

    def confirm_stream(self, name: str, offset: int) -> None:
        """The host has ``offset`` octets of a stream."""
        if name in self._streams:
            self._streams[name].confirm(offset)

    def stdin(self, word: CmdStdin) -> None:
        """Hand on what follows. What brings nothing new is answered with how far the input has got."""
        if self._process is None or not self._input.wanted:
            offset = word.offset + len(word.data)
        else:
            fresh, closes = self._input.take(word)
            if fresh or closes:
                self._process.feed(fresh, closes)
            offset = self._input.consumed
            if fresh:
                return  # confirmed when the program's pipe has taken it
        self._line.say(CmdAck(self.cmd_id, "stdin", offset))

    def signal(self, word: CmdSignal) -> None:
        """Send a signal, once; confirm it each time. To a command that has ended it does nothing."""
        if word.signal_id not in self._signals and self._process is not None:
            self._signals.add(word.signal_id)
            try:
                self._process.signal(word.signal)
            except ValueError as error:
                self._line.say(Aint(word.WORD, str(error)))
        self._line.say(CmdAck(self.cmd_id, "signal", signal_id=word.signal_id))

    # -- it speaks to the host

    def go_on(self) -> None:
        """Say all that may be said now."""
        for stream in list(self._streams.values()):
            stream.pump()
        self._moved()

    def hush(self) -> None:
        """No host listens: repeat nothing."""
        self._results.stop()

    def _moved(self) -> None:
        """A stream has sent what it had, or has room again."""
        for name in [name for name in self._paused if not self._streams[name].full]:
            self._paused.discard(name)
            if self._process is not None:
                self._process.resume(name)
        all_sent = all(stream.all_sent for stream in self._streams.values())
        if self.has_ended and all_sent and self._may_speak() and not self._results.running:
            self._results.start()

    def _say_results(self) -> None:
        if self._may_speak():
            self._line.say(self._fresh or self._journal.results(self.cmd_id))
        else:
            self._results.stop()  # go_on starts it again

    # -- the end

    def close(self) -> None:
        """The agent leaves: what there is goes to the disk."""
        self._stop()
        for stream in self._streams.values():
            stream.close()

    def clear(self) -> None:
        """The host has everything: free it."""
        self._stop()
        for stream in self._streams.values():
            stream.clear()

    def _stop(self) -> None:
        self._results.stop()
        self._concluding.stop()


class Input:
    """How far a command's input has got, in octets from its start: taken from the host, consumed by the program."""

    def __init__(self) -> None:
        self.wanted = False
        self.consumed = 0
        self._taken = 0
        self._closed = False

    def take(self, word: CmdStdin) -> tuple[bytes, bool]:
        """What is new in this word: octets, and whether the input ends behind them.

        Nothing is new in what came before, would leave a gap, or is more than a host may have under way.
        """
        fresh = word.data[self._taken - word.offset :] if word.offset <= self._taken else b""
        if self._taken + len(fresh) > self.consumed + 2 * WINDOW:
            return b"", False
        self._taken += len(fresh)
        closes = word.eof and not self._closed and word.offset + len(word.data) == self._taken
        self._closed = self._closed or closes
        return fresh, closes


def _results(entry: Entry, end: Ended, reports: dict[str, StreamReport]) -> CmdResults:
    return CmdResults(
        entry.cmd_id,
        end.outcome,
        end.exit_code_or_signal,
        end.reason,
        end.left,
        end.resources,
        entry.started,
        end.seconds,
        reports["out"],
        reports["err"],
    )
