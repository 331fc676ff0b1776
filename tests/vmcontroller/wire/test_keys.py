"""From one secret come keys that differ by purpose, and proofs that hang on everything that they are about."""

from __future__ import annotations

import hashlib
import hmac
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcontroller.wire import keys
from vmcontroller.wire.keys import Purpose


def test_mac_is_hmac_sha256() -> None:
    """RFC 4231, test case 2."""
    proof = keys.mac(b"Jefe", b"what do ya want for nothing?")
    assert proof.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_values_never_change() -> None:
    """Seeds outlive releases: the keys of a secret are these for ever."""
    expected = hmac.new("sëcret".encode(), b"vmcontroller door", hashlib.sha256).digest()
    assert keys.derive("sëcret", Purpose.DOOR) == expected
    assert keys.passcode("s") == hmac.new(b"s", b"vmcontroller broker login", hashlib.sha256).hexdigest()
    welcome = hmac.new(b"s", b"vmcontroller welcome", hashlib.sha256).digest()
    assert keys.welcome_proof("s", "vm-1", "n", 7) == hmac.new(welcome, b"vm-1\nn\n7", hashlib.sha256).hexdigest()


def test_purposes_differ() -> None:
    """No key serves two purposes, and none is the secret."""
    made = {keys.derive("secret", purpose) for purpose in Purpose}
    assert len(made) == len(Purpose) == 3
    assert all(len(key) == 32 for key in made)


#: HMAC takes no notice of NULs at a key's end; a secret has none.
secrets = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(secrets, secrets)
def test_secrets_differ(one: str, other: str) -> None:
    """Two secrets have two passcodes."""
    assert (keys.passcode(one) == keys.passcode(other)) == (one == other)


def test_welcome_proof_hangs_on_everything() -> None:
    """Another secret, guest, nonce or session has another proof."""
    asked = [("s", "vm", "n", 1), ("t", "vm", "n", 1), ("s", "vm-", "n", 1), ("s", "vm", "m", 1), ("s", "vm", "n", 11)]
    proofs = [keys.welcome_proof(*question) for question in asked]
    assert all(one != other for one, other in combinations(proofs, 2))


@pytest.mark.parametrize(
    ("left", "right", "same"), [("a", "a", True), ("a", "b", False), ("", "a", False), ("ü", "ü", True)]
)
def test_same(left: str, right: str, same: bool) -> None:
    """Secrets are compared as text, whatever is in them."""
    assert keys.same(left, right) is same
