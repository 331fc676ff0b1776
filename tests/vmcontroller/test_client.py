"""The API's client against a real HTTP server on loopback."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vmcontroller.fake_daemon import FakeDaemon, fake_daemon
from vmcontroller import client
from vmcontroller.client import daemons
from vmcontroller.errors import AlreadyRunning, BadRequest, NotRunning, StateDirectoryUnusable


def refuse(*_: Any) -> None:
    raise xmlrpc.client.Fault(200, "no VM is named x; list them with listVMs")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    methods = {"echo": lambda value: value, "refuse": refuse, "slow": lambda: time.sleep(5) or 1}
    with fake_daemon(tmp_path, methods) as fake:
        yield fake


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**31 - 1, -(2**31), True, 1.5, "", "text", "ünïcödé \t\n", b"\x00\xff\r\n", [1, ["a"]], {"a": {"b": [2]}}],
)
def test_values_come_back_as_they_went(daemon: FakeDaemon, tmp_path: Path, value: Any) -> None:
    """Every type of XML-RPC makes the round trip; Binary is bytes on this side."""
    with client.connect(tmp_path) as api:
        assert api.call("echo", value) == value


@pytest.mark.parametrize("value", ["a\rb", "a\x00b", "a\x1bb", "\udcff", "\uffff"])
def test_text_that_is_not_xml_travels_as_binary(daemon: FakeDaemon, tmp_path: Path, value: str) -> None:
    """What XML cannot hold arrives octet for octet."""
    with client.connect(tmp_path) as api:
        back = api.call("echo", value)
    assert isinstance(back, bytes)
    assert client.text(back) == value
    assert client.octets(value) == back


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**63 - 1])
def test_integers_past_32_bits_travel_as_i8(daemon: FakeDaemon, tmp_path: Path, value: int) -> None:
    """The standard library reads i8 and refuses to write it; ours writes it."""
    daemon.methods["take"] = lambda value: True
    with client.connect(tmp_path) as api:
        api.call("take", value)
    assert daemon.asked("take") == [(value,)]


@pytest.mark.parametrize("value", [None, 2**63, object(), {1: 2}, [None]])
def test_what_cannot_travel_is_told_before_anything_is_sent(daemon: FakeDaemon, tmp_path: Path, value: Any) -> None:
    """BadRequest names the method; the daemon hears nothing."""
    with client.connect(tmp_path) as api, pytest.raises(BadRequest, match="echo: an argument"):
        api.call("echo", value)
    assert daemon.asked("echo") == []


def test_a_fault_has_its_code_and_text(daemon: FakeDaemon, tmp_path: Path) -> None:
    """ApiFault carries both, and the connection is good for more."""
    with client.connect(tmp_path) as api:
        with pytest.raises(client.ApiFault, match="no VM is named x") as caught:
            api.call("refuse")
        assert caught.value.code == 200
        assert api.call("echo", 1) == 1
    assert daemon.connections == 1


def test_one_connection_serves_many_calls(daemon: FakeDaemon, tmp_path: Path) -> None:
    """The connection that found the daemon is kept."""
    with client.connect(tmp_path) as api:
        for n in range(20):
            assert api.call("echo", n) == n
    assert daemon.connections == 1


def test_a_connection_that_the_daemon_closed_is_opened_anew(daemon: FakeDaemon, tmp_path: Path) -> None:
    """An idle connection that was closed costs nobody a call, and no call is sent twice."""
    daemon.hangs_up_after_each = True
    with client.connect(tmp_path) as api:
        for n in range(5):
            daemon.await_hang_up()
            assert api.call("echo", n) == n
    assert daemon.asked("echo") == [(n,) for n in range(5)]


def test_the_directory_of_relative_paths_is_in_the_query(daemon: FakeDaemon, tmp_path: Path) -> None:
    """Spaces and other letters survive; a second connection has the same."""
    with client.connect(tmp_path, cwd="/tmp/a b/ü") as api, api.another() as twin:
        twin.call("echo", 1)
    assert daemon.queries == ["cwd=/tmp/a%20b/%C3%BC"] * 2


def test_a_daemon_that_went_away_is_told(daemon: FakeDaemon, tmp_path: Path) -> None:
    """ConnectionLost names the method, and NotRunning catches it too."""
    with client.connect(tmp_path) as api:
        api.close()
        daemon.stop()
        with pytest.raises(client.ConnectionLost, match="went away during echo"):
            api.call("echo", 1)
    assert issubclass(client.ConnectionLost, NotRunning)


def test_an_answer_that_takes_too_long_is_told(daemon: FakeDaemon, tmp_path: Path) -> None:
    """With a timeout nobody waits for ever."""
    with client.connect(tmp_path, timeout=0.1) as api, pytest.raises(client.ConnectionLost, match="slow: timed out"):
        api.call("slow")


def test_an_interrupted_call_leaves_nothing_behind(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a request of the one does not go out with the next."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with client.connect(tmp_path) as api:
        with monkeypatch.context() as patched:
            patched.setattr("http.client.HTTPConnection.endheaders", interrupt)
            with pytest.raises(KeyboardInterrupt):
                api.call("echo", 1)
        assert api.call("echo", 2) == 2
    assert daemon.asked("echo") == [(2,)]


@pytest.mark.parametrize("method", ["echo", "refuse"])
def test_answers_are_closed_before_they_are_dropped(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Python closes the others when it drops them, and discards a Ctrl-C that comes in that moment."""
    answers: list[http.client.HTTPResponse] = []

    class Noted(http.client.HTTPResponse):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            answers.append(self)

    monkeypatch.setattr(http.client.HTTPConnection, "response_class", Noted)
    with client.connect(tmp_path) as api, contextlib.suppress(client.ApiFault):
        api.call(method, 1)
    assert [answer.closed for answer in answers] == [True] * len(answers) != []


def test_a_call_that_is_too_large_is_told(daemon: FakeDaemon, tmp_path: Path) -> None:
    """413 becomes a sentence that names the setting."""
    with client.connect(tmp_path) as api, pytest.raises(BadRequest, match="max_body"):
        api.call("echo", "x" * 8_000_000)


def test_a_wrong_secret_is_no_daemon_of_ours(daemon: FakeDaemon, tmp_path: Path) -> None:
    """Another program may have taken the port of a daemon that died."""
    daemon.write_address(tmp_path, url=f"http://vmcontroller:wrong@127.0.0.1:{daemon.port}/RPC2")
    assert client.find(tmp_path) is None


def test_find_tells_the_address_while_the_daemon_lives(daemon: FakeDaemon, tmp_path: Path) -> None:
    """daemon.json of a daemon that is gone is as good as none."""
    found = client.find(tmp_path)
    assert found is not None
    assert (found.port, found.id, found.pid) == (daemon.port, "fake", os.getpid())
    daemon.stop()
    assert client.find(tmp_path) is None


@pytest.mark.parametrize("written", [None, "", "{", "[]", '{"url": "x"}', "\udcff"])
def test_no_daemon_is_found_where_none_wrote_its_address(tmp_path: Path, written: str | None) -> None:
    """Absent, empty, half written or of another kind."""
    if written is not None:
        (tmp_path / "daemon.json").write_text(written, errors="surrogateescape")
    assert client.find(tmp_path) is None
    with pytest.raises(NotRunning, match="start one with: vmcontroller daemon"):
        client.connect(tmp_path)


class TestDefaultStateDir:
    """Where state lies when nobody says."""

    def test_the_environment_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """VMCONTROLLER_STATE_DIR is taken as it is."""
        monkeypatch.setenv("VMCONTROLLER_STATE_DIR", str(tmp_path))
        assert client.default_state_dir() == tmp_path

    def test_else_it_is_the_users(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The platform's own place."""
        monkeypatch.delenv("VMCONTROLLER_STATE_DIR", raising=False)
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert client.default_state_dir().is_relative_to(tmp_path)

    def test_no_home_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One sentence with the way out."""
        monkeypatch.delenv("VMCONTROLLER_STATE_DIR", raising=False)
        monkeypatch.setattr(daemons, "user_state_path", lambda *_, **__: Path("~/.local/state/vmcontroller"))
        with pytest.raises(StateDirectoryUnusable, match="no home directory; name a state directory"):
            client.default_state_dir()


STUB = """
import json, os, sys, time
arguments = sys.argv[sys.argv.index("daemon") + 1:]
ready = int(arguments[arguments.index("--ready-fd") + 1])
home = arguments[arguments.index("--state-dir") + 1]
{deed}
"""


class TestStart:
    """Starting a daemon, with a stub in the interpreter's place."""

    @pytest.fixture
    def stub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Make ``start`` spawn a script that does one deed."""

        def install(deed: str) -> None:
            script = tmp_path / "stub"
            script.write_text(f"#!{sys.executable}\n{STUB.format(deed=deed)}")
            script.chmod(0o755)
            monkeypatch.setattr(sys, "executable", str(script))

        return install

    def test_the_running_one_is_returned(self, daemon: FakeDaemon, tmp_path: Path, stub: Any) -> None:
        """A second start spawns nothing."""
        stub("raise SystemExit('spawned')")
        assert client.start(tmp_path).id == "fake"
        assert not (tmp_path / client.LOG_FILE).exists()

    def test_it_waits_for_the_ready_line(self, daemon: FakeDaemon, tmp_path: Path, stub: Any) -> None:
        """The address is read after the daemon said that it is there."""
        home = tmp_path / "new" / "home"
        text = (tmp_path / "daemon.json").read_text()
        stub(f"open(home + '/daemon.json', 'w').write({text!r}); os.write(ready, b'ready\\n')")
        assert client.start(home).port == daemon.port
        assert home.stat().st_mode & 0o777 == 0o700

    def test_the_reason_for_not_starting_is_raised(self, tmp_path: Path, stub: Any) -> None:
        """The code and the sentence come through the pipe."""
        stub("os.write(ready, b'error 903 port 80 is taken; choose another\\n')")
        with pytest.raises(client.ApiFault, match="port 80 is taken; choose another") as caught:
            client.start(tmp_path)
        assert caught.value.code == 903

    def test_a_daemon_that_dies_is_told(self, tmp_path: Path, stub: Any) -> None:
        """Its last words are in the log that the sentence names."""
        stub("raise SystemExit('last words')")
        with pytest.raises(NotRunning, match="the daemon ended before it was ready"):
            client.start(tmp_path)
        assert "last words" in (tmp_path / client.LOG_FILE).read_text()

    def test_a_daemon_that_hangs_is_ended(self, tmp_path: Path, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing half started remains after the deadline."""
        monkeypatch.setattr(daemons, "START_SECONDS", 0.3)
        stub("open(home + '/pid', 'w').write(str(os.getpid())); time.sleep(60)")
        with pytest.raises(NotRunning, match="s and was ended"):
            client.start(tmp_path)
        if (tmp_path / "pid").exists():
            with pytest.raises(ProcessLookupError):
                os.kill(int((tmp_path / "pid").read_text()), 0)

    def test_a_first_that_is_still_starting_is_waited_for(self, daemon: FakeDaemon, tmp_path: Path, stub: Any) -> None:
        """AlreadyRunning means: find it."""
        text = (tmp_path / "daemon.json").read_text()
        (tmp_path / "daemon.json").unlink()
        later = f"time.sleep(0.1); open(home + '/daemon.json', 'w').write({text!r})"
        stub(f"os.write(ready, b'error {AlreadyRunning.code} another has it\\n'); {later}")
        assert client.start(tmp_path).id == "fake"

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path, stub: Any) -> None:
        """Before anything is spawned."""
        (tmp_path / "file").write_text("")
        with pytest.raises(StateDirectoryUnusable, match="choose another with --state-dir"):
            client.start(tmp_path / "file" / "home")


def test_a_port_that_nobody_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that took the port and says nothing costs the probe's deadline, not for ever."""
    monkeypatch.setattr(daemons, "PROBE_SECONDS", 0.1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://x:y@127.0.0.1:{mute.getsockname()[1]}/RPC2"
        FakeDaemon.write_address(_Port(1), tmp_path, url=url)  # type: ignore[arg-type]
        assert client.find(tmp_path) is None


class _Port:
    def __init__(self, port: int) -> None:
        self.port = port
