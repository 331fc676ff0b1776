"""The login: a client proves that it holds the private half of the VM's key. No other method is offered."""

from __future__ import annotations

import secrets

from vmcontroller.channel import Channel
from vmcontroller.wire.chirp import ChirpError, Number, parse_number
from vmcontroller.wire.ticket import CHALLENGE, PublicKey

#: Seconds within which it must be done.
TIME = 30.0
#: Methods that may be asked for: a client tries those that it knows, one by one.
METHODS = 16
#: Tickets that may be tried: a client may hold several.
TICKETS = 16
_MAX_SIGNATURE = 1024


def login(channel: Channel, key: PublicKey | None) -> bool:
    """True when the client proved itself; with ``key`` None nobody can. ChirpError, BrokenChirp: it talks nonsense."""
    channel.finish_within(TIME)
    for _ in range(METHODS):
        if channel.line() != b"ticket" or key is None:
            channel.say(b"no\n")
            continue
        channel.say(b"yes\n")
        if _proved(channel, key):
            channel.say(b"yes\nticket\n%b\n" % key.ticket.encode())
            channel.finish_within(None)
            return True
    return False


def _proved(channel: Channel, key: PublicKey) -> bool:
    for _ in range(TICKETS):
        ticket = channel.line()
        if ticket == b"==":
            return False
        if ticket != key.ticket.encode():
            channel.say(b"declined\n")
        elif _signed(channel, key):
            channel.say(b"success\n")
            return True
        else:
            channel.say(b"failure\n")
    return False


def _signed(channel: Channel, key: PublicKey) -> bool:
    challenge = secrets.token_bytes(CHALLENGE)
    channel.say(b"%d\n%b" % (CHALLENGE, challenge))
    length = parse_number(channel.line())
    if not 0 < length <= _MAX_SIGNATURE:
        raise ChirpError(Number.INVALID_REQUEST)
    return key.verifies(challenge, channel.octets(length))
