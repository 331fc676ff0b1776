"""Chirp's tickets: what an RSA key is called, and whether a challenge was signed with it.

Only the public half is handled here, in plain arithmetic, because the guest has no cryptography library. A ticket's
signature is PKCS #1 v1.5 over the challenge itself, without a hash (RFC 8017, section 9.2, lacking its DigestInfo).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Octets of a challenge. A client that signs any other length could be made to sign a certificate.
CHALLENGE = 64

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_RSA_ENCRYPTION = bytes.fromhex("2a864886f70d010101")
_SEQUENCE, _INTEGER, _BIT_STRING, _OBJECT_IDENTIFIER = 0x30, 0x02, 0x03, 0x06


@dataclass(frozen=True)
class PublicKey:
    """An RSA key's public half. ``ticket`` is its id, 32 hex digits: the MD5 of its PEM, as Chirp has it."""

    ticket: str
    modulus: int
    exponent: int

    def verifies(self, challenge: bytes, signature: bytes) -> bool:
        """True when the private half signed the challenge."""
        size = (self.modulus.bit_length() + 7) // 8
        number = int.from_bytes(signature, "big")
        if len(signature) != size or number >= self.modulus:
            return False
        padding = b"\xff" * (size - 3 - len(challenge))
        return pow(number, self.exponent, self.modulus).to_bytes(size, "big") == b"\0\1" + padding + b"\0" + challenge


def read_public_key(pem: str) -> PublicKey:
    """The RSA key in a PEM text (SubjectPublicKeyInfo, RFC 5280). ValueError says what is wrong with it."""
    found = _PEM.search(pem)
    if not found:
        raise ValueError("there is no PUBLIC KEY block in the text")
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True)
    except binascii.Error:
        raise ValueError("the PUBLIC KEY block is not base64") from None
    return PublicKey(_ticket(der), *_numbers(der))


def _ticket(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    pem = "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))
    return hashlib.md5(pem.encode(), usedforsecurity=False).hexdigest()


def _numbers(der: bytes) -> tuple[int, int]:
    algorithm, key = _children(_only(der, _SEQUENCE), _SEQUENCE, _BIT_STRING)
    if next(_elements(algorithm), None) != (_OBJECT_IDENTIFIER, _RSA_ENCRYPTION):
        raise ValueError("it is not an RSA key")
    modulus, exponent = _children(_only(key[1:], _SEQUENCE), _INTEGER, _INTEGER)
    return int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")


def _only(der: bytes, tag: int) -> bytes:
    return _children(der, tag)[0]


def _children(der: bytes, *tags: int) -> list[bytes]:
    elements = list(_elements(der))
    if tuple(tag for tag, _ in elements) != tags:
        raise ValueError("it is not a SubjectPublicKeyInfo")
    return [content for _, content in elements]


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The DER elements side by side in ``der``, as tag and content (X.690)."""
    while der:
        length, start = _length(der)
        if len(der) < start + length:
            raise ValueError("the key is cut short")
        yield der[0], der[start : start + length]
        der = der[start + length :]


def _length(der: bytes) -> tuple[int, int]:
    first = der[1] if len(der) > 1 else 0
    if first < 0x80:
        return first, 2
    octets = first & 0x7F
    return int.from_bytes(der[2 : 2 + octets], "big"), 2 + octets
