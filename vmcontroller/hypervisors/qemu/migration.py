"""Moves a machine's memory out of QEMU into a file, while it runs or while it stands, and back in.

QEMU's migration does it; the stream passes a pipe, so that what is kept is hashed and synced on its way.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from vmcontroller.errors import HypervisorFailed, VMControllerError
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.host import Host
from vmcontroller.hypervisors.qemu import generations
from vmcontroller.hypervisors.qemu.qmp import Message, Monitor

#: Seconds after which a guest that changes its memory faster than it can be written is stopped for the rest.
LIVELY = 20.0
#: The guest is stopped when what is left can be written in so many milliseconds.
DOWNTIME_MS = 50
_UNLIMITED = 1 << 50
_SWITCH = "pre-switchover"
_ENDS = ("completed", "failed", "cancelled")
_GLANCE = 0.002
_PATIENCE = 5.0


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
    reading, writing = _wide_pipe()
    receiving = host.in_thread(generations.receive, reading, target)
    try:
        try:
            await monitor.give("memory", writing)
        finally:
            os.close(writing)
        await _stream(host, monitor, at_switch)
    except VMControllerError as error:
        await _abandon(monitor)
        raise await _reason(host, error, receiving) from error
    try:
        kept = await receiving
    except OSError as error:
        raise files.explain(error) from error
    await settled(host, monitor)
    return kept


def _wide_pipe() -> tuple[int, int]:
    """A pipe that takes large pieces, where the system lets us have one."""
    import fcntl  # noqa: PLC0415 — Unix alone has it

    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, generations.PIECE)
    except OSError:
        pass
    return reading, writing


async def _abandon(monitor: Monitor) -> None:
    """Have QEMU close its end of the pipe, whether it has begun to write or not."""
    await monitor.execute("migrate_cancel").addErrback(lambda _: None)
    await monitor.execute("closefd", fdname="memory").addErrback(lambda _: None)


async def _reason(host: Host, error: VMControllerError, receiving: Deferred[Any]) -> VMControllerError:
    """A full disk makes QEMU complain of a broken pipe: tell the cause."""
    try:
        await receiving.addTimeout(_PATIENCE, host.reactor)
    except OSError as cause:
        return files.explain(cause)
    except TimeoutError:
        pass  # QEMU hangs, and keeps the pipe open until it is ended.
    return error


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
        why = (await monitor.execute("query-migrate")).get("error-desc", turn["status"])
        raise HypervisorFailed(f"QEMU could not write the machine's memory: {why}")


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
