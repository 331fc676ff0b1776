"""Tickets: the id of a key, and signatures made by a real cryptography library."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fileservers import other_key, vm_key
from vmcontroller import chirpkeys
from vmcontroller.wire.ticket import CHALLENGE, read_public_key

CHALLENGED = bytes(range(CHALLENGE))


def sign(private: str, challenge: bytes = CHALLENGED) -> bytes:
    """As the client signs."""
    return chirpkeys.load(private).sign(challenge, PKCS1v15(), NoDigestInfo())


def test_the_arithmetic_agrees_with_a_library() -> None:
    """Modulus and exponent are read from the PEM, and a true signature is one."""
    key = read_public_key(vm_key().public)
    numbers = chirpkeys.load(vm_key().private).public_key().public_numbers()
    assert (key.modulus, key.exponent) == (numbers.n, numbers.e)
    assert key.verifies(CHALLENGED, sign(vm_key().private))


def test_a_ticket_is_named_by_its_pem_and_not_by_its_line_breaks() -> None:
    """Copied, wrapped otherwise or with comments around, a key keeps its id."""
    pem = vm_key().public
    wrapped = pem.replace("\n", "\r\n")
    commented = "# for vm-1\n" + pem + "# end\n"
    assert {read_public_key(text).ticket for text in (pem, pem.strip(), wrapped, commented)} == {
        read_public_key(pem).ticket
    }
    assert read_public_key(other_key().public).ticket != read_public_key(pem).ticket


@pytest.mark.parametrize("size", [1024, 2048, 3072, 1031])
def test_keys_of_any_size_will_do(size: int) -> None:
    """Also those whose length is no multiple of eight bits."""
    private = rsa.generate_private_key(65537, size)
    key = read_public_key(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    assert key.verifies(CHALLENGED, private.sign(CHALLENGED, PKCS1v15(), NoDigestInfo()))


def test_what_is_no_signature_is_refused() -> None:
    """Another challenge, another key, one bit off, too short, too long, nothing, all ones, or a hash's signature."""
    key, signature = read_public_key(vm_key().public), sign(vm_key().private)
    flipped = signature[:-1] + bytes([signature[-1] ^ 1])
    hashed = chirpkeys.load(vm_key().private).sign(CHALLENGED, PKCS1v15(), SHA256())
    wrong = [sign(vm_key().private, b"x" * CHALLENGE), sign(other_key().private), flipped, signature[1:], hashed]
    wrong += [b"\0" + signature, b"", b"\xff" * len(signature), bytes(len(signature))]
    assert not any(key.verifies(CHALLENGED, octets) for octets in wrong)


def test_every_cut_of_a_key_is_an_error_and_not_a_crash() -> None:
    """However much of it is missing."""
    der = base64.b64decode("".join(vm_key().public.split("\n")[1:-2]))
    for length in range(len(der)):
        body = base64.b64encode(der[:length]).decode()
        with pytest.raises(ValueError, match=r"\w"):
            read_public_key(f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")


def test_other_texts_are_no_keys() -> None:
    """Nothing, a private key, base64 that is none, and a key that is not RSA."""
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    elliptic = curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    garbage = "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n"
    for text in ("", vm_key().private, garbage, elliptic):
        with pytest.raises(ValueError, match=r"\w"):
            read_public_key(text)
