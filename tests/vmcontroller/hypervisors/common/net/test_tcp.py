"""A TCP connection: over any link that now and then lets something through, everything arrives once and in order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmcontroller.hypervisors.common.net.link import Link, perfect
from vmcontroller.hypervisors.common.net.segment import ACK, FIN, RST, SYN, Segment, distance, plus
from vmcontroller.hypervisors.common.net.tcp import CAPACITY, PATIENCE, Connection, End, State, refusal

NUMBERS = st.integers(0, 2**32 - 1)


def bad(seed: int, loss: float, double: float, delay: float):
    """A link that loses, doubles, delays and thereby reorders."""
    dice = random.Random(seed)

    def fate() -> list[float]:
        copies = 2 if dice.random() < double else 1
        return [0.0001 + delay * dice.random() for _ in range(copies) if dice.random() >= loss]

    return fate


def connected(fate=perfect, **options) -> Link:
    link = Link(fate, **options)
    link.run(link.established)
    return link


def octets(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
    double=st.sampled_from([0.0, 0.2]),
    delay=st.sampled_from([0.0, 0.001, 0.3]),
    starts=st.tuples(NUMBERS, NUMBERS),
    lengths=st.tuples(st.integers(0, 300_000), st.integers(0, 20_000)),
    pauses=st.booleans(),
)
def test_everything_arrives(seed, loss, double, delay, starts, lengths, pauses) -> None:
    """Both directions at once, with an end each, over a bad link, whichever number each begins with."""
    dice = random.Random(seed)
    link = connected(bad(seed, loss, double, delay), starts=starts)
    said = [octets(seed + side, length) for side, length in enumerate(lengths)]
    for side, end in enumerate(link.ends):
        for start in range(0, len(said[side]), 70_000):
            end.write(said[side][start : start + 70_000], link.now)
        end.finish(link.now)
    link.move()

    def over() -> bool:
        link.deaf = [pauses and dice.random() < 0.3 for _ in link.ends]
        return all(end.receiver.ended for end in link.ends)

    link.run(over, 3000)
    link.deaf = [False, False]
    link.move()
    assert [bytes(heard) for heard in link.heard] == said[::-1]
    link.run(lambda: all(end.state is State.CLOSED for end in link.ends))
    assert {end.end for end in link.ends} <= {End.DONE, End.RESET}


def test_handshake_agrees_on_sizes() -> None:
    """Segments are no larger than the smaller of the two sizes, but for a guest that is absurd."""
    link = connected(mss=8960)
    link.ends[0].write(bytes(100_000), link.now)
    assert max(len(segment.payload) for segment in link.ends[0].outgoing()) == 8960
    caller = calling()
    caller.receive(answer(caller, mss=1), 0.0)
    caller.write(bytes(5000), 0.0)
    assert {len(segment.payload) for segment in caller.outgoing()} == {0, 536, 5000 % 536}


def test_a_closed_window_is_knocked_at() -> None:
    """Nobody reads: what is under way is bounded. When somebody reads again all arrives, though the news is lost."""
    link = connected()
    link.deaf[1] = True
    said = octets(1, 3 * CAPACITY)
    link.ends[0].write(said, link.now)
    link.move()
    end = link.now + 100
    while link.now < end:
        link.step()
    assert link.ends[1].receiver.place == CAPACITY
    assert link.sent < 400
    link.fate = list  # The reader's news is lost.
    link.deaf[1] = False
    link.move()
    link.fate = perfect
    link.run(lambda: link.heard[1] == said, 60)


def test_one_lost_segment_does_not_stop_the_others() -> None:
    """Three acknowledgements that repeat one bring the lost segment at once, not after the timer."""
    link = connected()
    fates = iter([[], *([[0.0001]] * 1000)])
    link.fate = lambda: next(fates)
    link.ends[0].write(bytes(20_000), link.now)
    begun = link.now
    link.move()
    link.run(lambda: len(link.heard[1]) == 20_000)
    assert link.now - begun < 0.1


def test_timer_follows_the_round_trip() -> None:
    """On a slow link nothing is sent twice once the round trip is known."""
    link = connected(lambda: [0.4])
    for _ in range(10):
        link.ends[0].write(bytes(100), link.now)
        link.move()
        link.run(lambda: link.ends[0].sender.place == link.ends[0].sender.top)
    before, now = link.sent, link.now
    link.ends[0].write(bytes(100), link.now)
    link.move()
    link.run(lambda: link.ends[0].sender.place == link.ends[0].sender.top)
    assert link.sent - before == 2
    assert link.now - now < 1


def test_guest_falls_silent() -> None:
    """A guest that says nothing for minutes is given up; one that comes back before is met within seconds."""
    link = connected()
    link.fate = list
    link.ends[0].write(b"hello", link.now)
    link.move()
    end = link.now + PATIENCE - 10
    while link.now < end:
        link.step()
    link.fate = perfect
    back = link.now
    link.run(lambda: link.heard[1] == b"hello")
    assert link.now - back < 3
    link.fate = list
    link.ends[0].write(b"hello", link.now)
    link.move()
    link.run(lambda: link.ends[0].end is End.SILENT)


# -- what a guest may answer


def calling(start: int = 1000) -> Connection:
    caller = Connection(40000, 61614, 1460, start)
    caller.open(0.0)
    (knock,) = caller.outgoing()
    assert (knock.flags, knock.sequence, knock.mss) == (SYN, start, 1460)
    return caller


def said(caller: Connection, flags: int, sequence: int = 500, acknowledgement: int = 1001, **more) -> Segment:
    return Segment(61614, 40000, sequence, acknowledgement, flags, more.pop("window", 5000), **more)


def answer(caller: Connection, mss: int = 1460) -> Segment:
    return said(caller, SYN | ACK, mss=mss, scale=0)


def talking() -> Connection:
    caller = calling()
    caller.receive(answer(caller), 0.0)
    assert caller.state is State.ESTABLISHED
    caller.outgoing()
    return caller


def test_refused() -> None:
    """A port where nobody listens answers with a reset."""
    caller = calling()
    caller.receive(said(caller, RST | ACK, sequence=0), 0.0)
    assert caller.end is End.REFUSED


def test_forged_reset_while_calling() -> None:
    """A reset that does not acknowledge our call is none."""
    caller = calling()
    caller.receive(said(caller, RST | ACK, acknowledgement=77), 0.0)
    caller.receive(said(caller, RST), 0.0)
    assert caller.state is State.SYN_SENT


def test_call_is_repeated() -> None:
    """A guest that boots is called until it answers."""
    caller = calling()
    for _ in range(40):
        assert caller.deadline is not None
        caller.tick(caller.deadline)
        assert [segment.flags for segment in caller.outgoing()] == [SYN]


def test_guest_remembers_an_older_connection() -> None:
    """It answers our call with an acknowledgement of something else: it is told to forget that, and called again."""
    caller = calling()
    caller.receive(said(caller, ACK, acknowledgement=31337), 0.0)
    (reset,) = caller.outgoing()
    assert (reset.flags, reset.sequence) == (RST, 31337)
    assert caller.state is State.SYN_SENT


@pytest.mark.parametrize("state", ["open", "closing", "half", "both", "lingering"])
def test_reset_in_every_state(state) -> None:
    """A reset where the next octet is awaited ends the connection; elsewhere it is asked back, or dropped."""
    caller = talking()
    sequence = 501
    if state in ("half", "both", "lingering"):
        caller.receive(said(caller, FIN | ACK, sequence=501), 0.0)
        sequence = 502
    if state in ("closing", "both", "lingering"):
        caller.finish(0.0)
    if state == "lingering":
        caller.receive(said(caller, ACK, sequence=502, acknowledgement=1002), 0.0)
    caller.outgoing()
    caller.receive(said(caller, RST, sequence=sequence + 10), 1.0)
    assert [segment.flags for segment in caller.outgoing()] == [ACK]
    caller.receive(said(caller, RST, sequence=sequence - 9), 1.0)
    assert (caller.outgoing(), caller.end) == ([], None)
    caller.receive(said(caller, RST, sequence=sequence), 1.0)
    assert caller.end is End.RESET
    assert caller.deadline is None


def test_end_comes_again() -> None:
    """An end whose acknowledgement was lost is acknowledged again, also after both sides are through."""
    caller = talking()
    caller.receive(said(caller, FIN | ACK, sequence=501), 0.0)
    caller.finish(0.0)
    caller.receive(said(caller, ACK, sequence=502, acknowledgement=1002), 0.0)
    caller.outgoing()
    caller.receive(said(caller, FIN | ACK, sequence=501, acknowledgement=1002), 0.0)
    (again,) = caller.outgoing()
    assert (again.flags, again.acknowledgement, again.sequence) == (ACK, 502, 1002)


def test_half_closed() -> None:
    """The guest says that it is through; it still hears. We are through; we still hear."""
    link = connected()
    link.ends[1].finish(link.now)
    link.move()
    link.run(lambda: link.ends[0].receiver.ended)
    link.ends[0].write(b"still there", link.now)
    link.move()
    link.run(lambda: link.heard[1] == b"still there")
    assert link.ends[0].state is State.ESTABLISHED


def test_nobody_listens_any_more() -> None:
    """What was written before arrives all the same, and the connection is over though the guest never ends its side."""
    link = connected()
    said = octets(3, 200_000)
    link.ends[0].write(said, link.now)
    link.ends[0].leave(link.now)
    link.move()
    link.run(lambda: link.ends[0].state is State.CLOSED, 60)
    assert link.heard[1] == said
    assert link.ends[1].receiver.ended


def test_what_nobody_hears_is_refused() -> None:
    """A guest that goes on speaking to nobody is told so."""
    caller = talking()
    caller.leave(0.0)
    caller.outgoing()
    caller.receive(said(caller, ACK, sequence=501, payload=b"hello"), 0.0)
    assert [segment.flags for segment in caller.outgoing()] == [RST | ACK]
    assert caller.end is End.ABORTED


def test_two_strangers_do_not_talk_for_ever() -> None:
    """What does not belong here is answered ten times a second at most."""
    caller = talking()
    for number in range(1000):
        caller.receive(said(caller, ACK, acknowledgement=900_000_000 + number), 1.0)
        caller.receive(said(caller, SYN, sequence=501), 1.0)
    assert len(caller.outgoing()) == 1


@settings(max_examples=200, deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([ACK, ACK | FIN, RST, SYN, SYN | ACK, 0, 0xFF]),
            st.integers(400, 700) | NUMBERS,
            st.integers(900, 1200) | NUMBERS,
            st.integers(0, 65535),
            st.binary(max_size=40),
        ),
        max_size=40,
    ),
)
def test_any_segments(connected, segments) -> None:
    """Whatever a guest says, nothing breaks and nothing grows beyond its bounds."""
    caller = talking() if connected else calling()
    caller.write(bytes(100), 0.0)
    for number, (flags, sequence, acknowledgement, window, payload) in enumerate(segments):
        segment = said(caller, flags, sequence, acknowledgement, window=window, payload=payload)
        caller.receive(segment, float(number))
        caller.tick(float(number))
        assert len(caller.outgoing()) < 20
        assert caller.sender.held <= 100
        assert caller.receiver.room >= 0


def test_refusal() -> None:
    """What belongs to no connection is reset so that its sender believes it; a reset is not answered."""
    reset = refusal(Segment(1, 2, 100, 0, SYN, 0))
    assert reset == Segment(2, 1, 0, 101, RST | ACK, 0)
    assert refusal(Segment(1, 2, 100, 200, ACK, 0)) == Segment(2, 1, 200, 0, RST, 0)
    assert refusal(Segment(1, 2, 100, 0, RST, 0)) is None


@given(NUMBERS, st.integers(-(2**31), 2**31 - 1))
def test_numbers_wrap(start, way) -> None:
    """The distance between two numbers is what lies between them, past the wrap, too."""
    assert distance(start, plus(start, way)) == way
