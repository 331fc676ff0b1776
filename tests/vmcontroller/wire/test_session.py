"""What two sides agree on when they connect."""

from __future__ import annotations

import pytest

from vmcontroller.wire.session import HeartBeats, Pulse, negotiate
from vmcontroller.wire.stomp import ProtocolError, Version


class TestNegotiate:
    @pytest.mark.parametrize(
        ("versions", "agreed"),
        [
            (None, Version.V1_0),
            ("1.0", Version.V1_0),
            ("1.1,1.0", Version.V1_1),
            ("1.0, 1.1, 1.2", Version.V1_2),
            ("1.2,3.0", Version.V1_2),
        ],
    )
    def test_highest_common_version(self, versions, agreed):
        assert negotiate(versions) is agreed

    @pytest.mark.parametrize("versions", ["", "2.0", "1"])
    def test_nothing_in_common(self, versions):
        with pytest.raises(ProtocolError, match=r"is not spoken here; 1.0, 1.1, 1.2 are"):
            negotiate(versions)


class TestHeartBeats:
    def test_reads_what_it_writes(self):
        assert HeartBeats.parse("250,10000") == HeartBeats(0.25, 10.0)
        assert str(HeartBeats(0.25, 10.0)) == "250,10000"

    def test_absent_is_never(self):
        assert HeartBeats.parse(None) == HeartBeats(0, 0)

    @pytest.mark.parametrize("header", ["", "1", "1,2,3", "-1,0", "a,b", "9999999999,0"])
    def test_anything_else_is_refused(self, header):
        with pytest.raises(ProtocolError, match="two numbers of milliseconds"):
            HeartBeats.parse(header)


class TestPulse:
    def test_slower_side_sets_the_pace(self):
        pulse = Pulse(HeartBeats(1, 10), HeartBeats(4, 2), now=0)
        assert (pulse.send, pulse.expect) == (2, 10)

    @pytest.mark.parametrize("offers", [(HeartBeats(0, 0), HeartBeats(1, 1)), (HeartBeats(1, 1), HeartBeats(0, 0))])
    def test_a_zero_on_either_side_means_none(self, offers):
        pulse = Pulse(*offers, now=0)
        assert pulse.wait(100) is None
        assert not pulse.due(100)
        assert not pulse.silent(100)

    def test_beats_come_in_time_though_one_is_late(self):
        """A beat is due after half the interval."""
        pulse = Pulse(HeartBeats(1, 0), HeartBeats(0, 2), now=100)
        assert not pulse.due(100.9)
        assert pulse.due(101)
        pulse.spoken(101)
        assert not pulse.due(101.9)

    def test_silence_is_twice_the_interval(self):
        pulse = Pulse(HeartBeats(0, 1), HeartBeats(1, 0), now=100)
        assert not pulse.silent(101.9)
        assert pulse.silent(102)
        pulse.heard(101.5)
        assert not pulse.silent(103.4)

    def test_wait_ends_when_there_is_something_to_do(self):
        pulse = Pulse(HeartBeats(4, 1), HeartBeats(1, 4), now=0)
        assert pulse.wait(0) == 2
        pulse.spoken(1.5)
        assert pulse.wait(1.5) == 0.5
        assert pulse.wait(50) == 0
