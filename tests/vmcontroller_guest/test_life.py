"""The real agent as a process, and a scripted host that speaks with it over TCP: door, STOMP, words."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.vmcontroller_guest.host import EVERYBODY, SECRET, VM, AgentProcess, Host, agent
from vmcontroller.wire import words
from vmcontroller.wire.words import (
    Aint,
    Bye,
    CmdAccepted,
    CmdAck,
    CmdOutput,
    CmdResults,
    CmdRun,
    CmdSignal,
    CmdStdin,
    Hello,
    Limits,
    Ping,
    Pong,
    Stdin,
    StillAlive,
    Verdict,
    Welcome,
    Who,
)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pid_in(path: Path) -> int:
    """The number that a program writes into a file, once it is there."""
    until = time.monotonic() + 10
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until, f"{path} was not written"
        time.sleep(0.01)
    return int(path.read_text())


# -- joining


def test_says_where_it_listens(guest: AgentProcess) -> None:
    """On the descriptor and in ports.json alike."""
    assert json.loads((guest.state / "ports.json").read_text()) == guest.ports
    assert set(guest.ports) == {"door", "chirp"}


def test_joins_through_its_door(guest: AgentProcess) -> None:
    """HELLO tells who it is; a session begins when WELCOME proves the host."""
    host = Host.dial(guest.ports["door"])
    hello = host.join(7)
    assert (hello.id, hello.name, hello.session, hello.chirp_port) == (VM, "VM 1", 0, guest.ports["chirp"])
    assert hello.versions["python"]
    host.say(Who())
    assert host.expect(Hello).session == 7


def test_a_stranger_at_the_door_is_hung_up_on(guest: AgentProcess) -> None:
    """He learns nothing but a nonce."""
    with pytest.raises(ConnectionError):
        Host.dial(guest.ports["door"], "not the secret")
    with socket.create_connection(("127.0.0.1", guest.ports["door"]), 5) as caller:
        greeting = caller.recv(4096)
        caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert greeting.startswith(b"VMC1 ")
        with pytest.raises(ConnectionResetError):
            caller.recv(4096)


def test_a_host_without_the_secret_has_nothing_run(guest: AgentProcess) -> None:
    """Its WELCOME is answered with AINT, its CMD_RUN with silence."""
    host = Host.dial(guest.ports["door"])
    hello = host.expect(Hello)
    host.say(Welcome(1, hello.nonce, "0" * 64, time.time()))
    assert "proof" in host.expect(Aint).why
    host.say(CmdRun("c1", "/bin/sh", 1, (VM,), ("-c", "touch was-run")))
    host.say(Ping("p", "0"))
    host.expect(Pong)
    assert not [word for word in host.heard if isinstance(word, (CmdAccepted, CmdResults))]
    assert not (guest.served / "was-run").exists()


def test_the_newest_connection_wins(guest: AgentProcess, host: Host) -> None:
    """As after a pause: the daemon dials again, whatever became of the older connection."""
    host.run("c1", "sleep", "60")
    host.expect(CmdAccepted)
    newer = Host.dial(guest.ports["door"])
    assert newer.join(2, {"c1": Verdict("keep")}).commands["c1"].state == "running"
    newer.say(CmdSignal("c1", "s1", signal.SIGKILL))
    assert newer.result("c1").outcome == "signalled"
    with pytest.raises(ConnectionError):
        host.listen(5)


def test_dials_the_broker_in_its_seed(tmp_path: Path) -> None:
    """And its door stays open; it dials again when the connection is lost."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        broker.settimeout(10)
        with agent(tmp_path, broker=f"tcp://127.0.0.1:{broker.getsockname()[1]}") as guest:
            for session in (1, 2):
                host = Host(broker.accept()[0])
                host.accept()
                host.join(session)
                host.close()
            assert "door" in guest.ports


# -- commands


def test_a_command_whole(host: Host) -> None:
    """Accepted, run, its result with output and resources, confirmed, never run again."""
    host.run("c1", "/bin/sh", "-c", "echo out; echo err >&2; pwd; exit 3")
    results = host.result("c1")
    assert (results.outcome, results.exit_code_or_signal) == ("exited", 3)
    assert results.out.text.startswith("out\n")
    assert results.err.text == "err\n"
    assert results.out.sha256 == hashlib.sha256(results.out.text.encode()).hexdigest()
    assert 0 <= results.resources["ru_utime"] < 5
    assert abs(results.started - time.time()) < 60
    host.run("c1", "/bin/sh", "-c", "echo out; exit 3")
    assert host.expect(CmdResults) == CmdResults("c1", "exited")


def test_said_thrice_run_once(guest: AgentProcess, host: Host) -> None:
    """CMD_RUN that comes again is answered again."""
    for _ in range(3):
        host.run("c1", "/bin/sh", "-c", "echo run >> runs; sleep 0.3")
    for _ in range(3):
        host.expect(CmdAccepted)
    host.result("c1")
    assert (guest.served / "runs").read_text() == "run\n"


def test_a_broadcast_runs_where_it_is_meant(host: Host) -> None:
    """Words to the whole group are heard; the audience decides."""
    for cmd_id, audience in (("c1", ("vm-0", VM)), ("c2", ("vm-0",))):
        headers, body = words.say(CmdRun(cmd_id, "true", 1, audience))
        host.say_raw(headers, body, destination=EVERYBODY)
    host.result("c1")
    assert not [word for word in host.listen(0.2) if getattr(word, "cmd_id", "") == "c2"]


def test_output_comes_while_it_runs(host: Host) -> None:
    host.run("c1", "/bin/sh", "-c", "echo first; read line; echo $line", stdin=Stdin("stream"))
    assert host.expect(CmdOutput).data == b"first\n"
    host.say(CmdStdin("c1", 0, True, b"second\n"))
    assert host.result("c1").out.text == "first\nsecond\n"


def test_input_in_any_order(host: Host) -> None:
    """What leaves a gap is ignored and told; what is known is dropped."""
    host.run("c1", "cat", stdin=Stdin("stream"))
    host.expect(CmdAccepted)
    host.say(CmdStdin("c1", 4, True, b"efgh"))
    assert host.expect(CmdAck, lambda word: word.of == "stdin").offset == 0
    for offset, eof, data in ((0, False, b"abcd"), (0, False, b"abcd"), (2, True, b"cdefgh")):
        host.say(CmdStdin("c1", offset, eof, data))
    assert host.result("c1").out.text == "abcdefgh"


def test_a_result_is_said_again(host: Host) -> None:
    """After 2 s without a confirmation."""
    host.run("c1", "true")
    first = host.expect(CmdResults)
    assert host.expect(CmdResults) == first


def test_a_signal_once(host: Host) -> None:
    """Said twice, sent once, confirmed twice."""
    script = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
    host.run("c1", "/bin/sh", "-c", script)
    host.expect(CmdOutput)
    for _ in range(2):
        host.say(CmdSignal("c1", "s1", signal.SIGUSR1))
        assert host.expect(CmdAck, lambda word: word.of == "signal").signal_id == "s1"
    host.expect(CmdOutput)
    host.say(CmdSignal("c1", "s2", signal.SIGKILL))
    results = host.result("c1")
    assert (results.outcome, results.exit_code_or_signal) == ("signalled", signal.SIGKILL)
    assert results.out.text == "ready\nusr1\n"


def test_what_is_no_word_is_answered_with_aint(host: Host) -> None:
    """It names what was not understood, and disturbs nothing; AINT itself is never answered."""
    for name, body in (("CMD_DANCE", b"{}"), ("CMD_RUN", b"{"), ("", b"\xff"), ("CMD_STDIN", b"")):
        host.say_raw({"word": name} if name else {}, body)
        assert host.expect(Aint).about == name
    host.say_raw({"word": "AINT"}, b"[")
    host.say(Aint("HELLO", "what?"))
    host.run("c1", "true")
    assert host.result("c1").outcome == "exited"
    assert not [word for word in host.listen(0.1) if isinstance(word, Aint)]


def test_still_alive_tells_what_runs(tmp_path: Path) -> None:
    with agent(tmp_path, beaconInterval=0.2) as guest:
        host = Host.dial(guest.ports["door"])
        host.join()
        host.run("c1", "/bin/sh", "-c", "sleep 60 & wait")
        beacon = host.expect(StillAlive, lambda word: "c1" in word.commands)
        assert beacon.commands["c1"]["processes"] == 2
        assert len(beacon.load) == 3
        assert 0 < beacon.memory["available"] <= beacon.memory["total"]
        assert 0 < beacon.disk["free"] <= beacon.disk["total"]
        whole = [*beacon.memory.values(), *beacon.disk.values(), beacon.commands["c1"]["ru_minflt"]]
        assert {type(number) for number in whole} == {int}


# -- its end


def test_sigterm_says_bye_and_ends_every_tree(guest: AgentProcess, host: Host) -> None:
    """Exit code 0; nothing that it started is left, its ports are closed."""
    host.run("c1", "/bin/sh", "-c", "setsid sh -c 'echo $$ > daemon; sleep 60' & sleep 60")
    daemon = pid_in(guest.served / "daemon")
    assert guest.stop() == 0
    assert host.expect(Bye).reason
    assert not alive(daemon)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", guest.ports["door"]), 1)


def test_kill_in_the_middle_of_twenty_commands(guest: AgentProcess, host: Host) -> None:
    """In its next life the agent ends what they left, daemons too, and each is lost with the output that it had."""
    for number in range(20):
        script = f"setsid sh -c 'echo $$ > pid{number}; exec sleep 60' & echo {number}; sleep 60"
        host.run(f"c{number}", "/bin/sh", "-c", script)
    outputs = {host.expect(CmdOutput).cmd_id for _ in range(20)}
    pids = [pid_in(guest.served / f"pid{number}") for number in range(20)]
    guest.kill()
    assert all(map(alive, pids))
    guest.start()
    assert not any(map(alive, pids))
    newer = Host.dial(guest.ports["door"])
    hello = newer.expect(Hello)
    assert {report.state for report in hello.commands.values()} == {"dead"}
    assert set(hello.commands) == outputs == {f"c{number}" for number in range(20)}
    newer.say(Who())
    newer.join(2, {cmd_id: Verdict("keep") for cmd_id in hello.commands})
    for number in range(20):
        results = newer.result(f"c{number}")
        assert (results.outcome, results.exit_code_or_signal, results.left) == ("lost", -1, 3)
        assert results.out.text == f"{number}\n"


def test_kill_and_a_finished_command(guest: AgentProcess, host: Host) -> None:
    """Its true outcome survives."""
    host.run("c1", "/bin/sh", "-c", "echo done; exit 5")
    host.expect(CmdResults)
    guest.kill()
    guest.start()
    newer = Host.dial(guest.ports["door"])
    assert newer.join(2, {"c1": Verdict("keep")}).commands["c1"].state == "finished"
    results = newer.result("c1")
    assert (results.outcome, results.exit_code_or_signal, results.out.text) == ("exited", 5, "done\n")


def refusal(process: AgentProcess, capfd: pytest.CaptureFixture[str], **changes: object) -> str:
    """What an agent says that does not start: one line, and exit code 1."""
    with pytest.raises(json.JSONDecodeError):
        process.start(**changes)
    assert process.process.wait(10) == 1
    error = capfd.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_one_agent_per_state_directory(guest: AgentProcess, capfd: pytest.CaptureFixture[str]) -> None:
    """A second one says so and leaves."""
    assert "in use by another agent" in refusal(AgentProcess(guest.state.parent), capfd)


def test_what_keeps_it_from_starting_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In one sentence, with the way out."""
    process = AgentProcess(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert "nothing.json: no seed can be read" in refusal(process, capfd, seed=tmp_path / "nothing.json")
    assert "with --state" in refusal(process, capfd, state=tmp_path / "file")
    assert "with --serve" in refusal(process, capfd, serve=tmp_path / "file")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} cannot be used" in refusal(process, capfd, chirp_port=port)
    assert "chirpKey" in refusal(AgentProcess(tmp_path, chirpKey="no key"), capfd)


def test_time_limits_count_no_time_in_which_the_machine_was_stopped(guest: AgentProcess, host: Host) -> None:
    """A paused machine of stopped processes goes on where it was."""
    host.run("c1", "sleep", "60", limits=Limits(seconds=3))
    host.expect(CmdAccepted)
    guest.process.send_signal(signal.SIGSTOP)
    time.sleep(3.5)
    guest.process.send_signal(signal.SIGCONT)
    assert not [word for word in host.listen(0.5) if isinstance(word, CmdResults)]
    host.say(CmdSignal("c1", "s1", signal.SIGKILL))
    assert host.result("c1").outcome == "signalled"


def test_the_log_tells_a_developer_what_happened(guest: AgentProcess, host: Host) -> None:
    host.run("c1", "no-such-program")
    host.result("c1")
    host.run("c2", "true", "a secret argument")
    host.result("c2")
    with pytest.raises(ConnectionError):
        Host.dial(guest.ports["door"], SECRET + "!")
    log = guest.log()
    for text in (
        "vm-1 is ready",
        "session 1 begins",
        "c1",
        "no-such-program",
        "c2 runs true",
        "c2: exited 0",
        "refused",
    ):
        assert text in log
    assert SECRET not in log
    assert "a secret argument" not in log
