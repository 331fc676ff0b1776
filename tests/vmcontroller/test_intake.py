"""Output is confirmed when it is on the disk, a result when all of its output is, and the first outcome stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.doubles import Disk, Host, results
from vmcontroller.results import Results
from vmcontroller.wire.words import CHUNK, CmdAck, CmdOutput, StreamReport

ACK = ("a", CmdAck("c", "results"))


@pytest.fixture
def running(host: Host) -> Host:
    """A command runs at a."""
    host.run("c", "a")
    host.said()
    return host


def told(host: Host, cmd_id: str = "c", vm: str = "a") -> dict[str, Any]:
    """The result as a caller gets it."""
    part = host.ledger.part(cmd_id, vm)
    assert part is not None
    return Results(host.ledger, host.outputs, host.controller.guests).result(part)


class TestResults:
    """A result counts when every octet of both streams is here."""

    def test_inline(self, running: Host) -> None:
        """Short output travels along, and no file is made for it."""
        running.hear("a", results("c", b"h\xffi", resources={"ru_utime": 1.5}, seconds=2.0))
        assert running.said() == [ACK]
        result = told(running)
        assert (result["out"], result["err"], result["finished"]) == (b"h\xffi", b"", True)
        assert (result["resources"]["ru_utime"], result["resources"]["ru_stime"]) == (1.5, 0.0)
        assert not list(running.outputs._directory.rglob("*"))

    def test_output_before_result(self, running: Host) -> None:
        """The usual order of a long output."""
        data = os.urandom(3 * CHUNK)
        for offset in range(0, len(data), CHUNK):
            running.hear("a", CmdOutput("c", "out", offset, data[offset : offset + CHUNK]))
        assert running.said()[-1] == ("a", CmdAck("c", "out", len(data)))
        running.hear("a", results("c", data, along=False))
        assert running.said() == [ACK]
        assert told(running)["out"] == data

    def test_result_before_output(self, running: Host) -> None:
        """It waits, unconfirmed, for the rest; live resources are known meanwhile."""
        running.hear("a", results("c", b"abcdef", along=False))
        assert running.said() == []
        assert running.state("c", "a") == "accepted"
        running.hear("a", CmdOutput("c", "out", 0, b"abc"))
        assert running.said() == [("a", CmdAck("c", "out", 3))]
        running.hear("a", CmdOutput("c", "out", 3, b"def"))
        assert running.said() == [("a", CmdAck("c", "out", 6)), ACK]
        assert told(running)["out"] == b"abcdef"

    def test_part_came_before_the_whole(self, running: Host) -> None:
        """Output that was sent in part, then the result with all of it."""
        running.hear("a", CmdOutput("c", "out", 0, b"ab"))
        running.hear("a", results("c", b"abcd"))
        assert running.said()[-1] == ACK
        assert told(running)["out"] == b"abcd"

    def test_more_is_here_than_the_guest_had(self, running: Host) -> None:
        """What a rolled back guest had printed and does not know of is cut off."""
        running.hear("a", CmdOutput("c", "out", 0, b"abcdef"))
        running.hear("a", results("c", b"abc", along=False))
        assert told(running)["out"] == b"abc"

    def test_wrong_checksum(self, running: Host) -> None:
        """It ends, or it never would; the result says what is wrong with it."""
        running.hear("a", CmdOutput("c", "out", 0, b"abc"))
        running.hear("a", results("c", StreamReport(3, "0" * 64), reason="Well."))
        assert running.said()[-1] == ACK
        assert told(running)["reason"] == "Well. The stored output is not what the guest sent."
        assert told(running)["out"] == b"abc"

    def test_wrong_checksum_inline(self, running: Host) -> None:
        """The same for output that travelled along."""
        running.hear("a", results("c", StreamReport(3, "0" * 64, text="abc")))
        assert "not what the guest sent" in told(running)["reason"]

    def test_first_outcome_stands(self, running: Host) -> None:
        """A second result, and more output, are confirmed and dropped."""
        running.hear("a", results("c", b"first"))
        running.said()
        running.hear("a", results("c", b"second", exit_code_or_signal=1))
        running.hear("a", CmdOutput("c", "out", 5, b"more"))
        assert running.said() == [ACK, ("a", CmdAck("c", "out", 9))]
        assert (told(running)["out"], told(running)["exitCodeOrSignal"]) == (b"first", 0)

    @pytest.mark.parametrize("outcome", ["signalled", "timedOut", "notStarted", "lost", "rolledBack"])
    def test_outcomes(self, running: Host, outcome: str) -> None:
        """Only exited is finished, as in 2009."""
        running.hear("a", results("c", outcome=outcome, exit_code_or_signal=-1, reason="so it is"))
        result = told(running)
        assert (result["outcome"], result["finished"], result["reason"]) == (outcome, False, "so it is")

    def test_of_who_was_not_asked(self, running: Host) -> None:
        """A result for another guest's command is none."""
        running.hear("b", results("c", b"forged"))
        running.hear("b", CmdOutput("c", "out", 0, b"forged"))
        assert running.said() == []
        assert running.state("c", "a") == "sent"
        assert running.outputs.length("c", "b", "out") == 0


class TestOutput:
    """Octets are taken in their order."""

    def test_doubled(self, running: Host) -> None:
        """What is here already is confirmed and not stored twice."""
        for _ in range(2):
            running.hear("a", CmdOutput("c", "out", 0, b"abc"))
        assert running.outputs.read("c", "a", "out", 0, 99) == b"abc"
        assert set(map(repr, running.said())) == {repr(("a", CmdAck("c", "out", 3)))}

    def test_gap(self, running: Host) -> None:
        """What would leave a gap is not stored; the guest hears how far we are."""
        running.hear("a", CmdOutput("c", "out", 0, b"abc"))
        running.said()
        running.hear("a", CmdOutput("c", "out", 9, b"xyz"))
        assert running.outputs.length("c", "a", "out") == 3

    def test_streams_apart(self, running: Host) -> None:
        """out and err each have their own offsets."""
        running.hear("a", CmdOutput("c", "err", 0, b"oh"))
        running.hear("a", CmdOutput("c", "out", 0, b"well"))
        assert running.outputs.read("c", "a", "err", 0, 9) == b"oh"
        assert running.outputs.read("c", "a", "out", 0, 9) == b"well"


class TestDisk:
    """The disk is slow, or full."""

    @pytest.fixture
    def slow(self, tmp_path: Path) -> Iterator[tuple[Host, Disk]]:
        disk = Disk()
        host = Host(tmp_path, in_thread=disk)
        host.add("a")
        host.join("a")
        host.run("c", "a")
        host.said()
        yield host, disk
        host.close()

    def test_confirmed_when_it_is_on_the_disk(self, slow: tuple[Host, Disk]) -> None:
        """Not before; and while one wait is under way the next ones gather."""
        host, disk = slow
        for offset, data in ((0, b"abc"), (3, b"def"), (6, b"ghi")):
            host.hear("a", CmdOutput("c", "out", offset, data))
        assert host.said() == []
        assert disk.turn() == 1
        assert host.said() == [("a", CmdAck("c", "out", 3))]
        assert disk.turn() == 1
        assert host.said() == [("a", CmdAck("c", "out", 9))]
        assert disk.turn() == 0

    def test_result_waits_for_the_disk(self, slow: tuple[Host, Disk]) -> None:
        """And for the sums."""
        host, disk = slow
        host.hear("a", CmdOutput("c", "out", 0, b"abc"))
        host.hear("a", results("c", b"abc", along=False))
        assert host.said() == []
        while disk.turn():
            pass
        assert host.said() == [("a", CmdAck("c", "out", 3)), ACK]

    def test_moved_while_the_sums_are_made(self, slow: tuple[Host, Disk]) -> None:
        """A VM that is removed meanwhile keeps its outcome: lost."""
        host, disk = slow
        host.hear("a", CmdOutput("c", "out", 0, b"abc"))
        disk.turn()
        host.hear("a", results("c", b"abc", along=False))
        host.controller.removed("a")
        while disk.turn():
            pass
        assert host.state("c", "a") == "lost"

    def test_full(self, tmp_path: Path) -> None:
        """What does not fit is not confirmed; the guest keeps it and says it again."""
        host = Host(tmp_path)
        host.add("a")
        host.join("a")
        host.run("c", "a")
        host.said()
        host.outputs._min_free = 1 << 62
        host.hear("a", CmdOutput("c", "out", 0, b"abc"))
        assert host.outputs.lacks_room("c", "a")
        host.hear("a", results("c", b"abc", along=False))
        assert host.said() == []
        host.outputs._min_free = 0
        host.hear("a", CmdOutput("c", "out", 0, b"abc"))
        assert not host.outputs.lacks_room("c", "a")
        assert host.said() == [("a", CmdAck("c", "out", 3)), ACK]
        host.close()
