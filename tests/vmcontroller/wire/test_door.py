"""The three lines at a guest's door: whole, in pieces, with what follows, and with everything that can be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcontroller.wire.door import MAX_LINE, AgentSide, DaemonSide, DoorRefused

AGENT, DAEMON = "a1" * 16, "d2" * 16
STOMP = b"CONNECT\n\n\0"


def pair(secret: str = "secret", other: str = "secret") -> tuple[AgentSide, DaemonSide]:
    return AgentSide(secret, nonce=AGENT), DaemonSide(other, nonce=DAEMON)


def lines() -> tuple[bytes, bytes, bytes]:
    """The three lines as they are said."""
    agent, daemon = pair()
    first = agent.greeting()
    second = daemon.feed(first)
    return first, second, agent.feed(second)


def test_both_know_the_secret() -> None:
    """After three lines each side knows that the other one knows the secret."""
    agent, daemon = pair()
    answer = agent.feed(daemon.feed(agent.greeting()))
    assert agent.proved
    assert not daemon.proved
    assert daemon.feed(answer) == b""
    assert daemon.proved
    assert agent.leftover == daemon.leftover == b""


def test_lines_never_change() -> None:
    """Agents outlive daemons: the lines are these for ever."""
    assert lines() == (
        b"VMC1 a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n",
        b"d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2 1589c1fa91ec4cec02b19876b033b70ee27cbdd2b12411b9efa728037b00a97b\n",
        b"32a10b059de93617329b83ce56cf88a11378fe391227a1f9b28f96eac7e6949a\n",
    )


def test_nonces_are_fresh() -> None:
    """Each knock has nonces of its own, so no line can be said again."""
    assert AgentSide("s").nonce != AgentSide("s").nonce
    assert DaemonSide("s").nonce != DaemonSide("s").nonce


@pytest.mark.parametrize("at", range(len(lines()[1]) + 1))
def test_agent_hears_in_pieces(at: int) -> None:
    """Wherever the daemon's line is split, the agent says the same."""
    _, second, third = lines()
    agent, _ = pair()
    assert agent.feed(second[:at]) + agent.feed(second[at:]) == third
    assert agent.proved


@pytest.mark.parametrize("at", range(sum(map(len, lines()[::2])) + 1))
def test_daemon_hears_in_pieces(at: int) -> None:
    """Wherever the agent's lines are split, the daemon says the same, even if the agent did not wait for it."""
    first, second, third = lines()
    _, daemon = pair()
    said = first + third
    assert daemon.feed(said[:at]) + daemon.feed(said[at:]) == second
    assert daemon.proved


def test_octet_by_octet() -> None:
    """Lines may come one octet at a time."""
    first, second, third = lines()
    agent, daemon = pair()
    assert b"".join(daemon.feed(bytes([octet])) for octet in first + third) == second
    assert b"".join(agent.feed(bytes([octet])) for octet in second) == third


@given(st.binary(max_size=2000))
def test_what_follows(stream: bytes) -> None:
    """What comes after the last line is left over untouched, however long it is and whatever it looks like."""
    first, second, third = lines()
    agent, daemon = pair()
    agent.feed(second + stream)
    assert agent.leftover == stream
    daemon.feed(first)
    daemon.feed(third + stream)
    assert daemon.leftover == stream


def test_wrong_secret() -> None:
    """The agent finds out first, and has then said nothing but its nonce."""
    agent, daemon = pair("secret", "guessed")
    with pytest.raises(DoorRefused, match="the daemon does not know"):
        agent.feed(daemon.feed(agent.greeting()))
    assert not agent.proved


def test_agent_that_only_guesses() -> None:
    """An agent that does not know the secret is found out by its proof."""
    first, _, third = lines()
    for wrong in (b"0" * 64 + b"\n", b"\n", third.upper(), b" " + third, third[:-2] + b"\n", b"\xff" * 64 + b"\n"):
        _, daemon = pair()
        daemon.feed(first)
        with pytest.raises(DoorRefused, match="the agent does not know"):
            daemon.feed(wrong)
        assert not daemon.proved


def test_replayed_lines() -> None:
    """Lines that were heard at an earlier knock open nothing: the nonces have changed."""
    first, second, third = lines()
    with pytest.raises(DoorRefused):
        AgentSide("secret").feed(second)
    daemon = DaemonSide("secret")
    daemon.feed(first)
    with pytest.raises(DoorRefused):
        daemon.feed(third)


def test_mirrored_proof() -> None:
    """An agent that says the daemon's own proof back has proved nothing."""
    first, second, _ = lines()
    _, daemon = pair()
    daemon.feed(first)
    with pytest.raises(DoorRefused):
        daemon.feed(second.split()[1] + b"\n")


@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"VMC2 " + AGENT.encode() + b"\n",
        b"VMC1\n",
        b"\n",
        b"VMC1 " + AGENT.upper().encode() + b"\n",
        b"VMC1 " + AGENT.encode() + b" \n",
        b"VMC1 " + AGENT.encode() + b"\r\n",
        b"VMC1  " + AGENT.encode() + b"\n",
        b"VMC1 " + AGENT.encode()[:-1] + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_no_door(line: bytes) -> None:
    """What does not greet as an agent does is told nothing."""
    _, daemon = pair()
    with pytest.raises(DoorRefused, match="not an agent's door"):
        daemon.feed(line)


@pytest.mark.parametrize("line", [b"\n", b"hello\n", DAEMON.encode() + b"\n", lines()[1].replace(b" ", b"  "), STOMP])
def test_no_daemon(line: bytes) -> None:
    """What does not answer as a daemon does is told nothing."""
    agent, _ = pair()
    with pytest.raises(DoorRefused, match="not a nonce and a proof"):
        agent.feed(line)


def flood(side: AgentSide | DaemonSide, piece: int) -> int:
    """Say a line without an end; how much of it was heard."""
    for heard in range(0, 2_000_000, piece):
        try:
            side.feed(b"x" * piece)
        except DoorRefused:
            return heard + piece
    return 2_000_000


@pytest.mark.parametrize("side", range(2))
@pytest.mark.parametrize("piece", [1, 7, MAX_LINE, MAX_LINE + 1, 100_000])
def test_long_line(side: int, piece: int) -> None:
    """A line without an end is refused after a few octets, in whatever pieces it comes."""
    assert flood(pair()[side], piece) <= MAX_LINE + piece


@pytest.mark.parametrize("side", range(2))
def test_long_line_that_ends(side: int) -> None:
    """So is one that ends just behind the limit."""
    with pytest.raises(DoorRefused, match="a line is longer"):
        pair()[side].feed(b"x" * (MAX_LINE + 1) + b"\n")


@given(st.binary(max_size=300), st.booleans())
def test_noise(noise: bytes, daemon: bool) -> None:
    """Noise never opens a door."""
    side = pair()[daemon]
    try:
        side.feed(noise)
    except DoorRefused:
        pass
    assert not side.proved
