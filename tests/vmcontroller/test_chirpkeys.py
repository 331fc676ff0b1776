"""The key of a VM's file server."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fileservers import other_key, vm_key
from vmcontroller import chirpkeys


def test_two_keys_are_two() -> None:
    """Each VM has its own."""
    assert vm_key() != other_key()


def test_both_halves_belong_together() -> None:
    """And the key is as long as it should be."""
    private = chirpkeys.load(vm_key().private)
    assert chirpkeys.public_half(private) == vm_key().public
    assert private.key_size == chirpkeys.BITS


def test_the_private_half_does_not_show() -> None:
    """In a log or a traceback."""
    assert "PRIVATE" not in repr(vm_key())


def test_a_key_that_is_not_rsa_is_refused() -> None:
    """Chirp knows no other."""
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="RSA"):
        chirpkeys.load(pem)
