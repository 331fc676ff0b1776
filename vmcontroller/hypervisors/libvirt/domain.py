"""The domain of one machine, verb by verb, as libvirt does it. Blocks, and decides nothing.

Every method may raise what link.explain() makes of libvirt's errors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.libvirt import snapshots
from vmcontroller.hypervisors.libvirt.dialect import NETWORK
from vmcontroller.hypervisors.libvirt.link import Link, binding
from vmcontroller.machine import MachineState, Snapshot

R = TypeVar("R")

_MANAGED_SAVE, _SNAPSHOTS_METADATA = 1, 2


class Domain:
    """The domain with this UUID, whether it exists or not.

    ``definition`` is the file with its XML, ``run`` what runs a virDomain.
    """

    def __init__(self, link: Link, uuid: str, definition: Path, run: Callable[[Any], None]) -> None:
        self._link = link
        self._uuid = uuid
        self._definition = definition
        self._run = run

    def _on(self, work: Callable[[Any], R]) -> R:
        return self._link.run(lambda connection: work(connection.lookupByUUIDString(self._uuid)))

    # -- what it is

    def state(self) -> MachineState | None:
        """Running, Paused, Stuck, Saved, or None when it is off: libvirt does not remember why for long."""
        return self._on(_state)

    def usage(self) -> dict[str, float]:
        """``cpuSeconds`` and ``memoryBytes``."""

        def ask(domain: Any) -> dict[str, float]:
            _, _, kibibytes, _, nanoseconds = domain.info()
            if domain.isActive():
                kibibytes = domain.memoryStats().get("rss", kibibytes)
            return {"cpuSeconds": nanoseconds / 1e9, "memoryBytes": kibibytes * 1024.0}

        return self._on(ask)

    def picture(self) -> bytes:
        """The screen, as PNG."""
        return self._on(_picture)

    def address(self, mac: str) -> str | None:
        """Its IP address on the isolated network, or None while it has none."""
        leases = self._link.run(lambda connection: connection.networkLookupByName(NETWORK).DHCPLeases(mac.lower()))
        return leases[0]["ipaddr"] if leases else None

    # -- life

    def register(self) -> None:
        """Define it, if libvirt does not know it."""
        if not self._is_known():
            xml = self._definition.read_text(encoding="utf-8")
            self._link.run(lambda connection: connection.defineXML(xml))

    def undefine(self) -> None:
        """End it and forget all that libvirt keeps of it. Nothing happens when libvirt does not know it."""
        if self._is_known():
            self._on(_undefine)

    def _is_known(self) -> bool:
        return self._uuid in self._link.run(lambda connection: [d.UUIDString() for d in connection.listAllDomains()])

    def start(self) -> None:
        """Run it, from its saved state if there is one. MemoryShort."""
        self._on(self._run)

    def stop(self) -> None:
        """Cut the power, if there is any."""
        self._on(_stop)

    def press(self) -> None:
        self._on(lambda domain: domain.shutdown())

    def reset(self) -> None:
        self._on(lambda domain: domain.reset(0))

    def suspend(self) -> None:
        self._on(lambda domain: domain.suspend())

    def resume(self) -> None:
        self._on(lambda domain: domain.resume())

    def save(self) -> None:
        """Put it away; it runs when it is started again, even if it was paused."""
        self._on(_save)

    def discard(self) -> None:
        self._on(lambda domain: domain.managedSaveRemove(0))

    # -- snapshots

    def take(self, name: str, description: str, now: float) -> None:
        self._on(lambda domain: snapshots.take(domain, name, description, now))

    def restore(self, name: str) -> None:
        self._on(lambda domain: snapshots.restore(domain, name))

    def delete(self, name: str) -> None:
        self._on(lambda domain: snapshots.delete(domain, name))

    def snapshots(self) -> list[Snapshot]:
        return self._on(snapshots.listed)

    # -- QEMU's own

    def tell_qemu(self, command: str) -> str:
        """A command for QEMU's monitor, and the answer."""
        qemu = binding("libvirt_qemu")
        flags = qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        return str(self._on(lambda domain: qemu.qemuMonitorCommand(domain, command, flags)))


def _state(domain: Any) -> MachineState | None:
    libvirt = binding()
    state, reason = domain.state()
    if state == libvirt.VIR_DOMAIN_PAUSED:
        stuck = (libvirt.VIR_DOMAIN_PAUSED_IOERROR, libvirt.VIR_DOMAIN_PAUSED_CRASHED)
        return MachineState.STUCK if reason in stuck else MachineState.PAUSED
    if domain.isActive():
        return MachineState.RUNNING
    return MachineState.SAVED if domain.hasManagedSaveImage() else None


def _stop(domain: Any) -> None:
    if domain.isActive():
        domain.destroy()


def _save(domain: Any) -> None:
    domain.managedSave(binding().VIR_DOMAIN_SAVE_RUNNING)


def _undefine(domain: Any) -> None:
    _stop(domain)
    domain.undefineFlags(_MANAGED_SAVE | _SNAPSHOTS_METADATA)


def _picture(domain: Any) -> bytes:
    stream = domain.connect().newStream()
    form = domain.screenshot(stream, 0)
    pieces: list[bytes] = []
    stream.recvAll(lambda stream, piece, pieces: pieces.append(piece), pieces)
    stream.finish()
    if form != "image/png":
        raise HypervisorFailed(f"libvirt shows the screen as {form}, not as PNG; QEMU 7.1 and libvirt 8 can")
    return b"".join(pieces)
