"""The RSA key with which the daemon logs in at a VM's file server: one per VM, and for nothing else.

Whoever answers at the Chirp port chooses what is signed, so a key that served another purpose could be abused there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

BITS = 2048


@dataclass(frozen=True)
class ChirpKey:
    """Both halves as PEM: ``private`` (PKCS #8) stays with the daemon, ``public`` goes into the VM's seed."""

    private: str = field(repr=False)
    public: str


def make() -> ChirpKey:
    """A fresh key. It takes a tenth of a second or more: call it in a thread."""
    return _halves(rsa.generate_private_key(public_exponent=65537, key_size=BITS))


def load(private: str) -> rsa.RSAPrivateKey:
    """The key that is written in PEM in ``private``. ValueError when it is no RSA key.

    Its numbers are not tested for being primes again, which takes longer than a login.
    """
    key = serialization.load_pem_private_key(private.encode(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("a Chirp key must be an RSA key")
    return key


def public_half(key: rsa.RSAPrivateKey) -> str:
    """The public half as PEM (SubjectPublicKeyInfo)."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


def _halves(key: rsa.RSAPrivateKey) -> ChirpKey:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return ChirpKey(key.private_bytes(encoding, form, serialization.NoEncryption()).decode(), public_half(key))
