"""A guest's boot up to its first command, beside the bare boot of the same image and an import of Twisted there.

Afterwards, while both idle, what each costs the host.
"""

from __future__ import annotations

import gzip
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.bench.table import Row
from tests.bench.vm.emulator import ours, started
from tests.bench.vm.place import Place, qemu
from vmcontroller.images.debian import payload

ROUNDS = 3
IDLE = 30.0
MOST = 1.1
#: How the agent starts Python (images/debian/guest/vmcontroller-guest), and how anybody does.
BARELY = """python3 -ISc 'import sys
home = "/usr/lib/python3/dist-packages"
sys.path.append(home)
zope = sys.modules["zope"] = type(sys)("zope")
zope.__path__ = [home + "/zope"]
import twisted.internet.reactor'"""
PLAINLY = "python3 -c 'import twisted.internet.reactor'"
#: Instead of our init. The drivers are those that ours loads later.
_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/null >/dev/ttyS0 2>&1
echo "the bare init runs"
{twisted}
echo "the bare import is done"
modprobe -aq evdev button virtio_balloon virtio_console bochs
exec sleep 100000
"""


def run(place: Place) -> list[Row]:
    """Ours and the two floors take turns."""
    times: dict[str, list[float]] = {"ours": [], "init": [], "barely": [], "plainly": []}
    idle: dict[str, float] = {}
    for _ in range(ROUNDS):
        with place.made() as folder:
            times["ours"].append(place.first_command())
            process = qemu(folder)
            line = ours(process.cmdline())
            idle["with"] = idle.get("with") or _idle(process)
        for how, twisted in (("barely", BARELY), ("plainly", PLAINLY)):
            init, imported, cost = _bare(place, line, twisted, measure="before" not in idle)
            times["init"].append(init)
            times[how].append(imported)
            idle.setdefault("before", cost)
    mine, init, barely, plainly = (statistics.median(taken) for taken in times.values())
    what, target = "boot to first command", f"at most {MOST} times"
    return [
        Row(what, "s", mine, "bare boot, import of Twisted", plainly, target, mine <= MOST * plainly),
        Row(what, "s", mine, "bare boot, import as the agent does", barely, target, mine <= MOST * barely),
        Row(what, "s", mine, "bare boot", init),
        Row("idle guest, of the host's processor", "% of a core", idle["with"], "without the agent", idle["before"]),
    ]


def _bare(place: Place, line: Sequence[str], twisted: str, measure: bool) -> tuple[float, float, float]:
    """Seconds until init runs, until Twisted is imported, and what idling costs then."""
    with place.made() as folder:
        (folder / "bare.img").write_bytes(_ram_disk(line[line.index("-initrd") + 1], twisted))
        words = list(line)
        words[words.index("-initrd") + 1] = "bare.img"
        words.remove("-S")
        begun = time.perf_counter()
        with started(words, folder) as machine:
            machine.heard("the bare init runs")
            init = time.perf_counter() - begun
            machine.heard("the bare import is done")
            imported = time.perf_counter() - begun
            return init, imported, _idle(psutil.Process(machine.process.pid)) if measure else 0.0


def _idle(process: psutil.Process) -> float:
    """Per cent of a core, once the guest has come to rest."""
    time.sleep(IDLE / 3)
    before = _used(process)
    time.sleep(IDLE)
    return 100 * (_used(process) - before) / IDLE


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ram_disk(original: str, twisted: str) -> bytes:
    """The image's own; a second archive behind it replaces the last step of its script."""
    script, found, _ = payload.script("initrd-init").rpartition(b"exec $bb switch_root")
    assert found, "the initial RAM disk has changed"
    init = b"$bb cat >/root/bare-init <<'END'\n" + _INIT.format(twisted=twisted).encode() + b"END\n"
    init = script + init + b"exec $bb switch_root /root /bin/sh /bare-init\n"
    return Path(original).read_bytes() + gzip.compress(_entry("init", 0o100755, init) + _entry("TRAILER!!!", 0, b""))


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """One file in cpio's format "newc"."""
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
