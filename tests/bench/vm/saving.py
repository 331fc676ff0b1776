"""Saving a guest and bringing it back, beside QMP alone: the same guest, the same command line, the same disk."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.table import Row
from tests.bench.vm.emulator import Qemu, ours, started
from tests.bench.vm.place import PATIENCE, VM, Place, qemu

ROUNDS = 5
MOST, MOST_TO_COMMAND = 1.2, 2.0
_UNLIMITED = 1 << 50


def run(place: Place) -> list[Row]:
    """Ours first; what ours saved last is what QMP alone begins with."""
    saves, starts, commands = [], [], []
    with place.guest() as folder:
        line = ours(qemu(folder).cmdline())
        for _ in range(ROUNDS):
            saves.append(_timed(lambda: place.home.call("saveState", VM)))
            commands.append(place.first_command())
            place.home.call("saveState", VM)
            starts.append(_timed(lambda: place.home.call("start", VM)))
            place.awaited()
        place.home.call("saveState", VM)
        (memory,) = folder.glob("saved-*/memory")
        size = memory.stat().st_size / (1 << 20)
        raw = _Raw(_without_incoming(line), folder, memory)
        plain = [raw.turn(durable=False) for _ in range(ROUNDS)]
        durable = [raw.turn(durable=True)[1] for _ in range(ROUNDS)]
    save, start, command, synced = map(statistics.median, (saves, starts, commands, durable))
    restore_floor, save_floor = (statistics.median(times) for times in zip(*plain, strict=True))
    target = f"at most {MOST} times"
    return [
        Row(
            "from a saved state to the first command", "s", command, "", None, "at most 2 s", command <= MOST_TO_COMMAND
        ),
        Row("save", "s", save, "QMP", save_floor, target, save <= MOST * save_floor),
        Row("save", "s", save, "QMP and fsync", synced, target, save <= MOST * synced),
        Row("restore", "s", start, "QMP", restore_floor, target, start <= MOST * restore_floor),
        Row("size of a saved state", "MiB", size),
    ]


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _without_incoming(line: Sequence[str]) -> list[str]:
    return [word for word in line if word not in ("-incoming", "defer")]


class _Raw:
    """A machine that is brought back and saved by QMP, again and again."""

    def __init__(self, line: Sequence[str], folder: Path, memory: Path) -> None:
        self._line = line
        self._folder = folder
        self._memory = memory
        self._turns = 0

    def turn(self, durable: bool) -> tuple[float, float]:
        """Seconds to bring it back, and to save it; the end of QEMU belongs to that, as it does with ours."""
        begun = time.perf_counter()
        with self._memory.open("rb") as file:
            incoming = ("-incoming", f"fd:{file.fileno()}")
            with started([*self._line, *incoming], self._folder, [file.fileno()]) as machine:
                _await(lambda: machine.talk.execute("query-status")["status"] != "inmigrate")
                machine.talk.execute("cont")
                back = time.perf_counter() - begun
                time.sleep(1)  # It has lived for a moment, and touched its memory, before it is saved again.
                self._turns += 1
                target = self._folder / f"raw-{self._turns}"
                saved = _timed(lambda: self._save(machine, target, durable))
        self._memory.unlink()
        self._memory = target
        return back, saved

    def _save(self, machine: Qemu, target: Path, durable: bool) -> None:
        machine.talk.execute("stop")
        machine.talk.execute("migrate-set-parameters", max_bandwidth=_UNLIMITED)
        with target.open("xb") as file:
            machine.talk.execute("getfd", file.fileno(), fdname="memory")
            machine.talk.execute("migrate", uri="fd:memory")
            _await(lambda: machine.talk.execute("query-migrate")["status"] == "completed")
            if durable:
                os.fsync(file.fileno())
        machine.quit()


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "QEMU does not get on"
        time.sleep(0.002)
