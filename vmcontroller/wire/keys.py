"""From the one secret in a VM's seed come all its keys: one per purpose, none leads back to another."""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum


class Purpose(Enum):
    """What a key is for."""

    LOGIN = b"vmcontroller broker login"
    DOOR = b"vmcontroller door"
    WELCOME = b"vmcontroller welcome"


def derive(secret: str, purpose: Purpose) -> bytes:
    """The 32 octets of the key for one purpose. ``secret`` is the text in the seed."""
    return mac(secret.encode(), purpose.value)


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104), 32 octets."""
    return hmac.new(key, message, hashlib.sha256).digest()


def passcode(secret: str) -> str:
    """What a guest gives the broker as its passcode; its login is its id."""
    return derive(secret, Purpose.LOGIN).hex()


def welcome_proof(secret: str, vm_id: str, nonce: str, session: int) -> str:
    """The host's proof in WELCOME: it knows the secret, and it answers this HELLO and no older one."""
    text = f"{vm_id}\n{nonce}\n{session}".encode()
    return mac(derive(secret, Purpose.WELCOME), text).hex()


def same(left: str, right: str) -> bool:
    """Compare two secrets in a time that says nothing about where they differ."""
    return hmac.compare_digest(left.encode(), right.encode())
