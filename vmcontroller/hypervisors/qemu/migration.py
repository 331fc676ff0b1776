"""Moves a machine's memory out of QEMU into a file, while it runs or while it stands, and back in.

QEMU's migration does it, straight into the file, which is hashed meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event

from twisted.internet.task import deferLater

from vmcontroller.errors import DiskFull, HypervisorFailed, VMControllerError
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.qemu import generations
from vmcontroller.hypervisors.qemu.layers import tells_no_room
from vmcontroller.hypervisors.qemu.qmp import Message, Monitor

#: Seconds after which a guest that changes its memory faster than it can be written is stopped for the rest.
LIVELY = 20.0
#: The guest is stopped when what is left can be written in so many milliseconds.
DOWNTIME_MS = 50
_UNLIMITED = 1 << 50
_SWITCH = "pre-switchover"
_ENDS = ("completed", "failed", "cancelled")
_GLANCE = 0.002


async def prepare(monitor: Monitor) -> None:
    """Say once to each QEMU how it is to migrate."""
    names = ("events", "pause-before-switchover")
    await monitor.execute(
        "migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names]
    )
    await monitor.execute("migrate-set-parameters", max_bandwidth=_UNLIMITED, downtime_limit=DOWNTIME_MS)


async def save(host: Host, monitor: Monitor, target: Path, at_switch: Callable[[], Awaitable[None]]) -> tuple[str, int]:
    """Write the memory into a new file; its hash, and how many octets. The guest stands still afterwards.

    ``at_switch`` is awaited when the guest stands still and its disks are still QEMU's. When this fails the guest
    may stand still, too; HypervisorFailed, DiskFull.
    """
    file = new_file(target)
    try:
        return await _save(host, monitor, file, at_switch)
    except BaseException as error:
        os.truncate(target, 0)  # Whoever clears up after a full disk needs some room for it.
        if isinstance(error, OSError):
            raise files.explain(error) from error
        raise
    finally:
        os.close(file)


def new_file(path: Path) -> int:
    """A file that only its owner reads, open."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


async def _save(host: Host, monitor: Monitor, file: int, at_switch: Callable[[], Awaitable[None]]) -> tuple[str, int]:
    written = Event()
    hashed = host.in_thread(generations.hash_growing, file, written)
    try:
        await _write(host, monitor, file, at_switch)
        written.set()
        await host.in_thread(os.fsync, file)
    finally:
        written.set()
        found = await hashed
    await settled(host, monitor)
    return found


async def _write(host: Host, monitor: Monitor, file: int, at_switch: Callable[[], Awaitable[None]]) -> None:
    try:
        await monitor.give("memory", file)
        await _stream(host, monitor, at_switch)
    except VMControllerError:
        # QEMU closes the file, whether it has begun to write or not.
        await monitor.execute("migrate_cancel").addErrback(lambda _: None)
        await monitor.execute("closefd", fdname="memory").addErrback(lambda _: None)
        raise


async def _stream(host: Host, monitor: Monitor, at_switch: Callable[[], Awaitable[None]]) -> None:
    patience = host.reactor.callLater(LIVELY, lambda: monitor.execute("stop").addErrback(lambda _: None))
    try:
        turn = await monitor.execute_until("MIGRATION", _is_turn, "migrate", uri="fd:memory")
    finally:
        if patience.active():
            patience.cancel()
    if turn["status"] == _SWITCH:
        await at_switch()
        turn = await monitor.execute_until("MIGRATION", _is_end, "migrate-continue", state=_SWITCH)
    if turn["status"] != "completed":
        raise _failed((await monitor.execute("query-migrate")).get("error-desc", turn["status"]))


def _failed(why: str) -> VMControllerError:
    if tells_no_room(why):
        return DiskFull(f"there is no room for the machine's memory; free some and try again ({why})")
    return HypervisorFailed(f"QEMU could not write the machine's memory: {why}")


def _is_turn(data: Message) -> bool:
    return data["status"] == _SWITCH or _is_end(data)


def _is_end(data: Message) -> bool:
    return data["status"] in _ENDS


async def settled(host: Host, monitor: Monitor) -> None:
    """Wait for the moment after a migration, also one that failed, from which on the guest may go on.

    And another one may begin: QEMU dies if it is told to migrate while it still cleans up. It tells of neither moment
    by an event.
    """
    while await _stands_still(monitor) or await _is_being_cleaned_up(monitor):
        await deferLater(host.reactor, _GLANCE, lambda: None)


async def _stands_still(monitor: Monitor) -> bool:
    return bool((await monitor.execute("query-status"))["status"] == "finish-migrate")


async def _is_being_cleaned_up(monitor: Monitor) -> bool:
    return any(instance["type"] == "migration" for instance in await monitor.execute("query-yank"))


async def go_on(host: Host, monitor: Monitor) -> None:
    """Let the guest run after a migration, or after one that failed."""
    await settled(host, monitor)
    await monitor.execute("cont")


async def cancel(host: Host, monitor: Monitor) -> None:
    """End a migration that nobody awaits any more."""
    await monitor.execute("migrate_cancel")
    while (await monitor.execute("query-migrate")).get("status", "none") not in ("none", *_ENDS):
        await deferLater(host.reactor, _GLANCE, lambda: None)
    await settled(host, monitor)


async def load(monitor: Monitor, source: Path) -> None:
    """Read the memory of a machine that was started to wait for it; it stands still then."""
    memory = os.open(source, os.O_RDONLY)
    try:
        await monitor.give("memory", memory)
    finally:
        os.close(memory)
    end = await monitor.execute_until("MIGRATION", _is_end, "migrate-incoming", uri="fd:memory")
    if end["status"] != "completed":
        raise HypervisorFailed("QEMU could not read the machine's memory back")
