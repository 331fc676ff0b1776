"""Files put and got: our client and server beside the real chirp tools and chirp_server, on the same disk, in one run.

Ours log in with a ticket, verify a checksum and wait for the disk. The real ones log in by the cheapest method that
they have and verify nothing; on a disk, what they moved is brought there before the clock stops. Rows "by chirp_put"
and "by chirp_get" have the real tools talk to our server, so that nobody verifies. Each figure is the best of several
runs that take turns.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.table import Row
from tests.fileservers import client, guest_process, vm_key
from vmcontroller.chirp import copies
from vmcontroller.chirp.meter import Meter

GIB = 1 << 30
FILES = 1000
RUNS = 3
PEER = "chirp_server 9.9"


@dataclass
class Case:
    """A source (1 GiB, or 1000 files of 1 KiB), how much it is in the row's unit, and its target as a ratio."""

    name: str
    what: str
    unit: str
    amount: float
    target: float


CASES = (Case("large", "1 GiB", "MiB/s", 1024, 0.8), Case("small", "1000 x 1 KiB", "files/s", FILES, 2.0))


def run() -> list[Row]:
    """Rows for a file system in memory, where the protocol alone is measured, and for a disk."""
    rows = []
    memory = Path("/dev/shm")
    for where, base in (("memory", memory), ("disk", Path(tempfile.gettempdir()))):
        if base.is_dir():
            rows += _on(where, base)
    return rows


def _on(where: str, base: Path) -> list[Row]:
    with tempfile.TemporaryDirectory(dir=base) as scratch, ExitStack() as servers:
        place = Path(scratch)
        _plant(place)
        port = servers.enter_context(_our_server(place))
        sides = {"ours": _our_side(port, place)}
        if shutil.which("chirp_server"):
            at = servers.enter_context(_their_server(place))
            sides["theirs"] = _tools_side(at, ["-a", "unix"], place, "theirs", sync=where == "disk")
            ticket = ["-a", "ticket", "-i", str(place / "vm.ticket")]
            sides["tools"] = _tools_side(f"127.0.0.1:{port}", ticket, place, "ours", sync=False)
        return [row for case in CASES for row in _rows(where, case, _best(case.name, sides))]


def _plant(place: Path) -> None:
    block = os.urandom(1 << 20)
    with (place / "large").open("wb") as file:
        for _ in range(GIB // len(block)):
            file.write(block)
    (place / "small").mkdir()
    for i in range(FILES):
        (place / "small" / f"file{i}").write_bytes(block[i : i + 1024])
    for side in ("ours", "theirs"):
        (place / f"{side}-served").mkdir()
        (place / f"{side}-back").mkdir()
    (place / "vm.ticket").write_text(vm_key().private)


# -- the servers


@contextmanager
def _our_server(place: Path) -> Iterator[int]:
    with guest_process(place / "ours-served", place) as (_, port):
        yield port


@contextmanager
def _their_server(place: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        at = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["chirp_server", "-I", "127.0.0.1", "-p", at.rpartition(":")[2], "-r", str(place / "theirs-served")]
    command += ["-y", str(place), "-c", str(place), "-n", "localhost", "-u", "127.0.0.1:1", "-U", "86400"]
    command += ["-i", "root"] if os.getuid() == 0 else []
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(at)
        yield at
    finally:
        server.terminate()
        server.wait()


def _wait_for(at: str) -> None:
    deadline = time.monotonic() + 20
    while subprocess.run(["chirp", "-a", "unix", "-t", "2", at, "whoami"], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError("chirp_server does not start")


# -- the clients


@dataclass
class Side:
    """How one side puts and gets a name, and the two directories into which it comes."""

    put: Callable[[str], None]
    get: Callable[[str], None]
    served: Path
    back: Path


def _our_side(port: int, place: Path) -> Side:
    served, back = place / "ours-served", place / "ours-back"

    def put(name: str) -> None:
        with client(port) as guest:
            copies.put(guest, place / name, name, Meter())

    def get(name: str) -> None:
        with client(port) as guest:
            copies.get(guest, name, back / name, Meter())

    return Side(put, get, served, back)


def _tools_side(at: str, login: list[str], place: Path, server: str, sync: bool) -> Side:
    served, back = place / f"{server}-served", place / f"{server}-back"

    def put(name: str) -> None:
        subprocess.run(["chirp_put", *login, str(place / name), at, f"/{name}"], check=True)
        _settle(served / name if sync else None)

    def get(name: str) -> None:
        subprocess.run(["chirp_get", *login, at, f"/{name}", str(back / name)], check=True)
        _settle(back / name if sync else None)

    return Side(put, get, served, back)


def _settle(path: Path | None) -> None:
    """Bring a file, or a directory and its files, to disk."""
    for each in [] if path is None else [path, *path.rglob("*")]:
        fd = os.open(each, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


# -- the figures

Best = dict[tuple[str, str], float]


def _best(name: str, sides: dict[str, Side]) -> Best:
    """The fewest seconds for each verb and side."""
    best: Best = {}
    for _ in range(RUNS):
        for label, side in sides.items():
            for verb, work in (("put", side.put), ("get", side.get)):
                started = time.perf_counter()
                work(name)
                seconds = time.perf_counter() - started
                best[verb, label] = min(seconds, best.get((verb, label), seconds))
            _remove(side.served / name)
            _remove(side.back / name)
    return best


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _rows(where: str, case: Case, best: Best) -> list[Row]:
    rows = []
    for verb in ("put", "get"):
        what, ours, theirs = f"chirp {verb} {case.what}, {where}", best[verb, "ours"], best.get((verb, "theirs"))
        if theirs is None:
            rows.append(Row(what, case.unit, case.amount / ours))
            continue
        peer = PEER if where == "memory" else f"{PEER}, synced"
        target = f"at least {case.target} x"
        rows.append(
            Row(what, case.unit, case.amount / ours, peer, case.amount / theirs, target, theirs / ours >= case.target)
        )
        tools = case.amount / best[verb, "tools"]
        rows.append(Row(f"{what}, by chirp_{verb}", case.unit, tools, peer, case.amount / theirs))
    return rows
