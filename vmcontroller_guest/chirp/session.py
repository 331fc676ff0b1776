"""One session of the file server, in a thread of its own: the login, then an answer for each request."""

from __future__ import annotations

from collections.abc import Callable

from vmcontroller.channel import Channel, Hangup
from vmcontroller.wire.chirp import OURS, VERBS, BrokenChirp, ChirpError, number_of, parse_request, reply
from vmcontroller.wire.ticket import PublicKey
from vmcontroller_guest.chirp.login import login
from vmcontroller_guest.chirp.names import Names
from vmcontroller_guest.chirp.parts import OpenFiles
from vmcontroller_guest.chirp.served import ServedFiles
from vmcontroller_guest.chirp.whole import WholeFiles

_QUIT = b"\x04"


class Session:
    """Talks to one client until it leaves."""

    def __init__(self, channel: Channel, key: PublicKey | None, files: ServedFiles) -> None:
        """With ``key`` None nobody gets in."""
        self._channel = channel
        self._key = key
        self._files = files
        self._parts = OpenFiles(channel, files)
        groups = (self, self._parts, WholeFiles(channel, files), Names(channel, files))
        self._verbs = {verb: _method(verb, groups) for verb in VERBS}
        channel.before_sending = self._settle

    def serve(self) -> None:
        """Do it; returns when the client has left or was sent away."""
        try:
            if login(self._channel, self._key):
                self._answer_all()
            self._channel.flush()
        except (Hangup, BrokenChirp, ChirpError):
            pass  # what was on its way in is gone with its context
        finally:
            self._parts.close_all()
            self._files.close()

    def _settle(self) -> None:
        try:
            self._files.settle()
        except OSError:
            raise Hangup("the disk refused what was already promised") from None

    def _answer_all(self) -> None:
        while (line := self._channel.line())[:1] != _QUIT:
            if line:
                self._channel.say(self._answer(line))

    def _answer(self, line: bytes) -> bytes:
        try:
            request = parse_request(line)
            return self._verbs[request.verb](*request.arguments)
        except ChirpError as refused:
            return reply(refused.number)
        except OSError as error:
            return reply(number_of(error))

    def verb_whoami(self, length: int) -> bytes:
        subject = f"ticket:{self._key.ticket}".encode() if self._key else b""
        return reply(len(subject[:length]), subject[:length])

    def verb_verbs(self) -> bytes:
        return reply(0, "\n".join((*OURS, "", "")).encode())


def _method(verb: str, groups: tuple[object, ...]) -> Callable[..., bytes]:
    name = f"verb_{verb}"
    found: Callable[..., bytes] = next(getattr(group, name) for group in groups if hasattr(group, name))
    return found
