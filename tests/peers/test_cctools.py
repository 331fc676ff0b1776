"""Our server and the real chirp tools, our client and the real chirp_server: both directions, with tickets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fileservers import client, guest_server, other_key, vm_key
from vmcontroller.chirp import copies
from vmcontroller.chirp.client import ChirpClient
from vmcontroller.chirp.meter import Meter
from vmcontroller.errors import FileDenied, NoSuchFile, TransferFailed

TOOLS = ("chirp", "chirp_get", "chirp_put", "chirp_server")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="needs the chirp tools: Debian package coop-computing-tools"
)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host, with a file and a tree."""
    host = tmp_path / "host"
    (host / "tree" / "sub").mkdir(parents=True)
    (host / "f").write_bytes(os.urandom(300_000))
    (host / "f").chmod(0o755)
    for i in range(20):
        (host / "tree" / "sub" / f"file {i}").write_bytes(b"%d" % i * i)
    (host / "tree" / "empty").mkdir()
    (host / "tree" / "link").symlink_to("sub/file 3")
    return host


def contents(top: Path) -> dict[str, bytes | str | None]:
    """What a tree holds, without permissions, which the tools do not carry for directories."""
    found: dict[str, bytes | str | None] = {}
    for path in top.rglob("*"):
        name = str(path.relative_to(top))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


# -- the real tools, our server


@dataclass
class Tools:
    """The real tools, with a ticket, against a server on ``port``."""

    port: int
    ticket: Path

    def run(self, tool: str, *arguments: str | Path, commands: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of them; ``SERVER`` among the arguments is replaced."""
        given = [f"127.0.0.1:{self.port}" if a == "SERVER" else str(a) for a in arguments]
        command = [tool, "-a", "ticket", "-i", str(self.ticket), "-t", "10", *given]
        return subprocess.run(command, input=commands, capture_output=True, text=True, timeout=60, check=False)

    def shell(self, *command: str) -> str:
        """What the chirp shell prints for a command; it must succeed."""
        done = self.run("chirp", "SERVER", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What our server serves."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def tools(root: Path, tmp_path: Path) -> Iterator[Tools]:
    """The tools against our server."""
    ticket = tmp_path / "vm.ticket"
    ticket.write_text(vm_key().private)
    ticket.chmod(0o600)
    with guest_server(root) as port:
        yield Tools(port, ticket)


def test_chirp_put_and_chirp_get_move_a_file(tools: Tools, root: Path, host: Path) -> None:
    """There and back, with its permissions, and over an old one."""
    for _ in range(2):
        assert tools.run("chirp_put", host / "f", "SERVER", "/g").returncode == 0
    assert (root / "g").read_bytes() == (host / "f").read_bytes()
    assert (root / "g").stat().st_mode & 0o777 == 0o755
    assert tools.run("chirp_get", "SERVER", "/g", host / "h").returncode == 0
    assert (host / "h").read_bytes() == (host / "f").read_bytes()


def test_chirp_put_and_chirp_get_move_an_empty_file(tools: Tools, root: Path, host: Path) -> None:
    """Of no octets."""
    (host / "e").write_text("")
    assert tools.run("chirp_put", host / "e", "SERVER", "/e").returncode == 0
    assert (root / "e").read_bytes() == b""
    assert tools.run("chirp_get", "SERVER", "/e", host / "e2").returncode == 0
    assert (host / "e2").read_bytes() == b""


def test_chirp_put_and_chirp_get_move_a_tree(tools: Tools, root: Path, host: Path) -> None:
    """Directories, empty ones, links and names with spaces."""
    assert tools.run("chirp_put", host / "tree", "SERVER", "/tree").returncode == 0
    assert contents(root / "tree") == contents(host / "tree")
    assert tools.run("chirp_get", "SERVER", "/tree", host / "back").returncode == 0
    assert contents(host / "back") == contents(host / "tree")


def test_chirp_put_streams_through_open_and_pwrite(tools: Tools, root: Path) -> None:
    """From a pipe, whose length is not known before."""
    done = subprocess.run(
        ["chirp_put", "-a", "ticket", "-i", tools.ticket, "/dev/stdin", f"127.0.0.1:{tools.port}", "/s"],
        input=b"x" * 100_000,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert (root / "s").read_bytes() == b"x" * 100_000


def test_the_chirp_shell_finds_its_way(tools: Tools, root: Path, host: Path) -> None:
    """Listing, looking, making, moving and removing."""
    (root / "f").write_text("four")
    assert "f" in tools.shell("ls", "/")
    assert "size:    4" in tools.shell("stat", "/f")
    assert tools.shell("cat", "/f") == "four"
    assert "8CBAD96ACED40B3838DD9F07F6EF5772" in tools.shell("md5", "/f").upper()
    assert tools.shell("whoami").startswith("ticket:")
    tools.shell("mkdir", "/d")
    tools.shell("mv", "/f", "/d/g")
    tools.shell("chmod", "700", "/d/g")
    assert (root / "d" / "g").stat().st_mode & 0o777 == 0o700
    tools.shell("put", str(host / "f"), "/d/h")
    assert (root / "d" / "h").read_bytes() == (host / "f").read_bytes()
    tools.shell("rm", "/d/g")
    tools.shell("rm", "/d")
    assert os.listdir(root) == []
    assert "TOTAL" in tools.shell("df")


def test_another_ticket_does_not_get_in(tools: Tools, root: Path, host: Path) -> None:
    """The real client understands the refusal."""
    tools.ticket.write_text(other_key().private)
    done = tools.run("chirp_put", host / "f", "SERVER", "/g")
    assert done.returncode != 0
    assert os.listdir(root) == []


def test_no_other_method_gets_in(tools: Tools, root: Path, host: Path) -> None:
    """Neither by address, nor by host name, nor by a file on a shared disk."""
    methods = ["-a", "unix", "-a", "hostname", "-a", "address"]
    command = ["chirp_put", *methods, "-t", "1", str(host / "f"), f"127.0.0.1:{tools.port}", "/g"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0
    assert os.listdir(root) == []


def test_the_tools_cannot_leave_the_root(tools: Tools, root: Path, host: Path) -> None:
    """Through a link, or the server's own names."""
    (root / "out").symlink_to(host)
    assert tools.run("chirp_put", host / "f", "SERVER", "/out/g").returncode != 0
    assert tools.run("chirp_get", "SERVER", "/out/f", host / "g").returncode != 0
    assert tools.run("chirp_put", host / "f", "SERVER", "/.__acl").returncode != 0
    assert sorted(os.listdir(host)) == ["f", "tree"]


# -- the real server, our client


@pytest.fixture
def chirp_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a real server and the directory that it serves; our ticket is registered there."""
    served, scratch = tmp_path / "served", tmp_path / "scratch"
    served.mkdir()
    scratch.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["chirp_server", "-I", "127.0.0.1", "-p", str(port), "-r", str(served), "-y", str(scratch)]
    command += ["-c", str(scratch), "-n", "localhost", "-u", "127.0.0.1:1", "-U", "86400"]
    command += ["-i", "root"] if os.getuid() == 0 else []
    with (scratch / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            register(port, scratch / "vm.ticket")
            yield port, served
        finally:
            server.terminate()
            server.wait()


def register(port: int, ticket: Path) -> None:
    """Register our key at the real server, as its owner, when it has started."""
    ticket.write_text(vm_key().private)
    ticket.chmod(0o600)
    for command in (["ticket_register", ticket, "self", "3600"], ["ticket_modify", ticket, "/", "rwld"]):
        deadline = time.monotonic() + 20
        while subprocess.run(
            ["chirp", "-a", "unix", "-t", "5", f"127.0.0.1:{port}", *command], capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, "the real server does not take our ticket"
            time.sleep(0.05)


@pytest.fixture
def theirs(chirp_server: tuple[int, Path]) -> Iterator[ChirpClient]:
    """Our client, logged in at the real server."""
    with client(chirp_server[0]) as made:
        yield made


def test_our_client_moves_a_file(theirs: ChirpClient, chirp_server: tuple[int, Path], host: Path) -> None:
    """There and back, with its permissions, and over an old one."""
    for _ in range(2):
        copies.put(theirs, host / "f", "g", Meter())
    assert (chirp_server[1] / "g").read_bytes() == (host / "f").read_bytes()
    copies.get(theirs, "g", host / "h", Meter())
    assert (host / "h").read_bytes() == (host / "f").read_bytes()
    assert (host / "h").stat().st_mode & 0o777 == 0o755
    assert not theirs.ours


def test_our_client_moves_a_tree(theirs: ChirpClient, host: Path) -> None:
    """Names that are not ASCII included."""
    (host / "tree" / "né '\"").write_text("odd")
    (host / "tree" / "nothing").write_text("")
    (host / "tree" / "link").unlink()
    (host / "tree" / "link").symlink_to("nothing")
    copies.put(theirs, host / "tree", "tree", Meter())
    copies.get(theirs, "tree", host / "back", Meter())
    assert contents(host / "back") == contents(host / "tree")


def test_a_link_that_the_real_server_would_garble_is_refused(theirs: ChirpClient, host: Path) -> None:
    """It does not decode the target of a link."""
    with pytest.raises(TransferFailed, match=r"tree/link: .*not supported"):
        copies.put(theirs, host / "tree", "tree", Meter())


def test_our_client_lists_and_looks(theirs: ChirpClient, host: Path) -> None:
    """As at our own server."""
    copies.put(theirs, host / "f", "", Meter())
    assert [(name, status.size) for name, status in theirs.list("/")] == [("f", 300_000)]


def test_our_client_is_told_what_is_missing_or_forbidden(theirs: ChirpClient, host: Path) -> None:
    """In sentences."""
    with pytest.raises(NoSuchFile, match="missing: "):
        copies.get(theirs, "missing", host / "x", Meter())
    assert sorted(os.listdir(host)) == ["f", "tree"]


def test_our_client_is_told_that_its_key_is_unknown(chirp_server: tuple[int, Path]) -> None:
    """With either word for it."""
    with pytest.raises(FileDenied, match="does not know this daemon's key"), client(chirp_server[0], other_key()):
        pass
