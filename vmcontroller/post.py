"""Takes the host's words to the broker and brings the guests' words in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.logger import Logger

from vmcontroller.wire import words
from vmcontroller.wire.destinations import GuestDestinations, speaker_of, to_group
from vmcontroller.wire.words import Word


class Sender(Protocol):
    """What post needs of a messenger."""

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> object:
        """Send one frame, or drop it while there is no broker."""


class Post:
    """The Speaker of a daemon. ``group_of`` gives the group of a VM, or None when it is none of ours."""

    log = Logger()

    def __init__(self, daemon: str, group_of: Callable[[str], str | None]) -> None:
        self._daemon = daemon
        self._group_of = group_of
        self.sender: Sender | None = None
        self.hear: Callable[[str, Word, int], None] = lambda vm, word, session: None

    def say(self, vm: str, word: Word, session: int) -> None:
        """To one guest, in this session; dropped if there is no such guest."""
        group = self._group_of(vm)
        if group is not None:
            self._send(GuestDestinations(self._daemon, group, vm).inbox, vm, word, session)

    def say_all(self, group: str, word: Word) -> None:
        """To every guest of a group."""
        self._send(to_group(self._daemon, group), "*", word, 0)

    def _send(self, destination: str, to: str, word: Word, session: int) -> None:
        if self.sender is not None:
            headers, body = words.say(word)
            envelope = {"from": self._daemon, "to": to, words.IN_SESSION: str(session)}
            self.sender.send(destination, headers | envelope, body)

    def arrived(self, destination: str, headers: Mapping[str, str], body: bytes) -> None:
        """A frame came. Who speaks is known from the destination that the broker let it use, never from a header."""
        speaker = speaker_of(self._daemon, destination)
        if speaker is None or self._group_of(speaker[1]) != speaker[0]:
            self.log.warn("a frame on {destination} is from no guest of ours", destination=destination)
            return
        try:
            word, session = words.hear(headers, body), words.session_of(headers)
        except words.NotAWord as error:
            self._say_aint(speaker[1], headers.get("word", ""), str(error))
        else:
            self.hear(speaker[1], word, session)

    def _say_aint(self, vm: str, name: str, why: str) -> None:
        self.log.warn("what {vm} said is no word: {why}", vm=vm, why=why)
        if name != words.Aint.WORD:
            self.say(vm, words.Aint(name[:40], why[:400]), 0)
