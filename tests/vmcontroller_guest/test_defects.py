"""Regression tests: what was wrong in the guest of 2009 and 2010, each named after its number in the list of defects.

The others of the list are the host's and the wrapper's.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vmcontroller_guest.host import INBOX, VM, AgentProcess, Host, agent
from vmcontroller.wire import words
from vmcontroller.wire.stomp import Frame, Version, encode
from vmcontroller.wire.words import CmdAck, CmdOutput, CmdResults, CmdRun, Stdin


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent for all of them."""
    with agent(tmp_path_factory.mktemp("guest")) as running:
        yield running


@pytest.fixture(scope="module")
def host(guest: AgentProcess) -> Host:
    dialled = Host.dial(guest.ports["door"])
    dialled.join()
    return dialled


def raw(run: CmdRun, session: int = 1) -> bytes:
    """A CMD_RUN as octets on the wire."""
    headers, body = words.say(run)
    envelope = {"destination": INBOX, "subscription": "1", "message-id": "1", words.IN_SESSION: str(session)}
    return encode(Frame("MESSAGE", envelope | headers, body), Version.V1_2)


def test_defect_01_an_exit_code_is_no_signal(host: Host) -> None:
    """A program that exits with 7 has finished, and 7 is its exit code."""
    host.run("d1", "/bin/sh", "-c", "exit 7")
    results = host.result("d1")
    assert (results.finished, results.outcome, results.exit_code_or_signal) == (True, "exited", 7)


def test_defect_02_death_by_a_signal_has_a_result(host: Host) -> None:
    """It is sent, with the signal's number and all that was printed before."""
    host.run("d2", "/bin/sh", "-c", "echo before; kill -KILL $$")
    results = host.result("d2")
    assert (results.finished, results.outcome, results.exit_code_or_signal) == (False, "signalled", signal.SIGKILL)
    assert results.out.text == "before\n"


def test_defect_03_resources_are_each_commands_own(guest: AgentProcess, host: Host) -> None:
    """One that computes and one that fills memory, side by side with one that does nothing and outlasts both."""
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    fill = "x = bytearray(150_000_000); x[::4096] = b'1' * len(x[::4096])"
    host.run("d3-idle", "/bin/sh", "-c", "read line", stdin=Stdin("stream"))
    host.run("d3-burn", sys.executable, "-c", burn)
    host.run("d3-fill", sys.executable, "-c", fill)
    found = {}
    while set(found) != {"d3-burn", "d3-fill"}:
        results = host.expect(CmdResults, lambda word: word.cmd_id.startswith("d3"))
        found[results.cmd_id] = results.resources
        host.say(CmdAck(results.cmd_id, "results"))
    host.say(words.CmdStdin("d3-idle", 0, True))
    found["d3-idle"] = host.result("d3-idle").resources
    assert found["d3-burn"]["ru_utime"] + found["d3-burn"]["ru_stime"] >= 0.49
    assert found["d3-idle"]["ru_utime"] + found["d3-idle"]["ru_stime"] < 0.1
    assert found["d3-fill"]["ru_maxrss"] > 150_000_000 / 1024
    # Linux counts the memory from which a program was started: the agent's own is the least that is told.
    assert max(found["d3-idle"]["ru_maxrss"], found["d3-burn"]["ru_maxrss"]) <= guest.status("VmHWM")


def test_defect_04_words_share_no_state(host: Host) -> None:
    """Many of a kind, in one packet: each keeps its own values."""
    runs = [CmdRun(f"d4-{n}", "/bin/echo", 1, (VM,), (f"argument {n}",)) for n in range(10)]
    host._socket.sendall(b"".join(map(raw, runs)))
    outs = {}
    while len(outs) < len(runs):
        results = host.expect(CmdResults, lambda word: word.cmd_id.startswith("d4"))
        outs[results.cmd_id] = results.out.text
        host.say(CmdAck(results.cmd_id, "results"))
    assert outs == {f"d4-{n}": f"argument {n}\n" for n in range(10)}


def test_defect_05_arguments_forge_no_header_and_are_not_evaluated(guest: AgentProcess, host: Host) -> None:
    """Newlines, colons, quotes and Python arrive as they are, in arguments, environment and name."""
    nasty = ["a\nword:CMD_RUN", "b:c", "\r\n\r\n\0"[:4], "'); __import__('os').system('touch evaluated')", '"', "\\"]
    program = guest.served / "a name:with\na line"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\njson.dump([sys.argv[1:], os.environ['E:E']], sys.stdout)"
    )
    program.chmod(0o755)
    host.run("d5", f"./{program.name}", *nasty, env={"E:E": "x\ncmd:/bin/false"})
    assert json.loads(host.result("d5").out.text) == [nasty, "x\ncmd:/bin/false"]
    assert not (guest.served / "evaluated").exists()


def test_defect_08_output_comes_in_pieces_while_the_program_runs(host: Host) -> None:
    """More than one frame holds, octet for octet; the first piece is there long before the program ends."""
    data = bytes(range(256)) * 1200
    script = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 1200)\nsys.stdout.flush()\nsys.stdin.read()"
    host.run("d8", sys.executable, "-c", script, stdin=Stdin("stream"))
    have = b""
    while len(have) < len(data):
        piece = host.expect(CmdOutput, lambda word: word.cmd_id == "d8")
        assert piece.offset == len(have)
        assert len(piece.data) <= words.CHUNK
        have += piece.data
        host.say(CmdAck("d8", "out", len(have)))
    assert have == data
    host.say(words.CmdStdin("d8", 0, True))
    assert host.result("d8").out.sha256 == hashlib.sha256(data).hexdigest()


def test_defect_08_a_read_is_not_a_frame(host: Host) -> None:
    """One frame in many packets is one word; many frames in one packet are many."""
    octets = raw(CmdRun("d8-split", "/bin/echo", 1, (VM,), ("whole",)))
    for at in range(0, len(octets), 20):
        host._socket.sendall(octets[at : at + 20])
        time.sleep(0.001)
    assert host.result("d8-split").out.text == "whole\n"


def test_defect_18_the_input_file_is_the_guests(guest: AgentProcess, host: Host, tmp_path: Path) -> None:
    """A name means a file in the served directory; one that is only on the host is named as missing, not read."""
    (guest.served / "stdin_worker").write_text("from the guest")
    host.run("d18", "cat", stdin=Stdin("file", "stdin_worker"))
    assert host.result("d18").out.text == "from the guest"
    host.run("d18-host", "cat", stdin=Stdin("file", "/slots/0/stdin_worker"))
    results = host.result("d18-host")
    assert results.outcome == "notStarted"
    assert results.reason == (
        "The input file '/slots/0/stdin_worker' does not exist in the guest; copy it there first."
    )
