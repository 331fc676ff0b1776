"""The agent's link to the host: words on the one side, STOMP frames on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from vmcontroller.wire import words
from vmcontroller.wire.destinations import GuestDestinations
from vmcontroller_guest.agent import Agent


class Link:
    """Give ``up``, ``arrived``, ``down`` and ``drained`` to a Messenger; then set ``messenger`` and ``agent``."""

    log = Logger()
    messenger: Any  # a vmcontroller.messaging.Messenger
    agent: Agent

    def __init__(self, destinations: GuestDestinations) -> None:
        self.destinations = destinations

    def say(self, word: words.Word) -> None:
        """Send a word to the host, if it can be reached."""
        headers, body = words.say(word)
        envelope = {"from": self.destinations.id, words.IN_SESSION: str(self.agent.session)}
        self.messenger.send(self.destinations.outbox, headers | envelope, body)
        if self.messenger.congested:
            self.agent.hold()

    def up(self) -> None:
        """Every subscription stands."""
        self.log.info("connected")
        self.agent.connected()

    def down(self, reason: str) -> None:
        """The connection is lost, or could not be made."""
        self.log.info("not connected: {reason}", reason=reason)
        self.agent.disconnected()

    def drained(self) -> None:
        """What was sent is out."""
        self.agent.release()

    def arrived(self, destination: str, headers: Mapping[str, str], body: bytes) -> None:
        """A frame came, from the host: nobody else may send to our destinations."""
        try:
            word, session = words.hear(headers, body), words.session_of(headers)
        except words.NotAWord as error:
            self._say_aint(headers.get("word", ""), str(error))
        else:
            if not words.is_void(word, session, self.agent.session):
                self.agent.hear(word)

    def _say_aint(self, name: str, why: str) -> None:
        self.log.warn("what came is no word: {why}", why=why)
        if name != words.Aint.WORD:
            self.say(words.Aint(name[:40], why[:400]))
