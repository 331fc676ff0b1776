"""How a guest joins: HELLO, ever again, until the WELCOME that answers it comes.

Knows nonces, proofs and session numbers, and nothing of commands.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import Enum

from twisted.internet.interfaces import IReactorTime

from vmcontroller.wire.keys import same, welcome_proof
from vmcontroller.wire.words import Welcome
from vmcontroller_guest.timers import Repeater

#: Seconds until HELLO is said again, and the longest wait that this grows to.
FIRST_WAIT, LONGEST_WAIT = 1.0, 5.0


class Answer(Enum):
    """What a WELCOME is to a guest."""

    STALE = "it answers an older HELLO"
    UNPROVEN = "its proof is wrong: whoever said it does not know this VM's secret"
    PAST = "its session is not larger than the last one"
    AGAIN = "it came before"
    FRESH = "it opens a session"


class Joining:
    """``hello(nonce)`` says HELLO. ``secret`` is the seed's, or "" where there is none and no proof is demanded."""

    def __init__(
        self,
        clock: IReactorTime,
        vm_id: str,
        secret: str,
        hello: Callable[[str], None],
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._vm_id = vm_id
        self._secret = secret
        self._new_nonce = new_nonce
        self._nonce = ""
        self._repeater = Repeater(clock, lambda: hello(self._nonce), FIRST_WAIT, LONGEST_WAIT)

    @property
    def waiting(self) -> bool:
        """HELLO was said and not answered yet."""
        return self._repeater.running

    def begin(self) -> None:
        """A new occasion: say HELLO with a new nonce."""
        self._nonce = self._new_nonce()
        self._repeater.start()

    def stop(self) -> None:
        """Say HELLO no more: it was answered, or nobody is there to hear it."""
        self._repeater.stop()

    def judge(self, word: Welcome, session: int) -> Answer:
        """What this WELCOME is, ``session`` being the last number that was written down."""
        if word.nonce != self._nonce:
            return Answer.STALE
        if not self._proven(word):
            return Answer.UNPROVEN
        if not self.waiting:
            return Answer.AGAIN if word.session == session else Answer.STALE
        return Answer.FRESH if word.session > session else Answer.PAST

    def _proven(self, word: Welcome) -> bool:
        if not self._secret:
            return True
        return same(word.proof, welcome_proof(self._secret, self._vm_id, word.nonce, word.session))
