"""A stand-in for VirtualBox's objects as its Python binding shows them: machines, sessions, snapshots, media.

It does what the documented interfaces promise, with the refusals that the plugin has met in the real one: it passes the
same contract suite. Names are those of the COM interfaces. ``memory`` and ``Medium.text`` stand for what a guest has.
"""

from __future__ import annotations

import copy
import itertools
import socket
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NOT_FOUND, INVALID_VM_STATE, INVALID_OBJECT_STATE, FAILED = 0x80BB0001, 0x80BB0002, 0x80BB0007, 0x80004005
PNG = b"\x89PNG\r\n\x1a\n and so on"
_macs = itertools.count(0x080027000000)


class ComError(Exception):
    """What the binding raises. pyvbox looks at ``errno`` and ``msg``."""

    def __init__(self, errno: int, msg: str) -> None:
        super().__init__(errno, msg)
        self.errno = errno
        self.msg = msg


class Progress:
    """Over at the second look."""

    def __init__(self, error: str = "") -> None:
        self._looks = 0
        self.resultCode = FAILED if error else 0
        self.errorInfo = SimpleNamespace(text=error)

    @property
    def completed(self) -> bool:
        self._looks += 1
        return self._looks > 1


class Medium:
    """A disk or a CD; ``text`` is what a guest wrote on it."""

    def __init__(self, world: Any, location: str, parent: Medium | None = None) -> None:
        self.id = str(uuid.uuid4())
        self.location = location
        self.parent = parent
        self.children: list[Medium] = []
        self.machineIds: list[str] = []
        self.text = parent.text if parent else ""
        self._world = world

    def createDiffStorage(self, target: Medium, variant: list[int]) -> Progress:
        target.parent, target.text = self, self.text
        self.children.append(target)
        self._world.media.append(target)
        Path(target.location).write_bytes(b"what differs")
        return Progress()

    def close(self) -> None:
        if self.children or self.machineIds:
            raise ComError(INVALID_OBJECT_STATE, f"the medium {self.location} is in use")
        if self.parent:
            self.parent.children.remove(self)
        self._world.media.remove(self)


class Adapter:
    """An INetworkAdapter; ``wire`` is the UDP socket that a machine which runs has for it."""

    def __init__(self) -> None:
        self.enabled = True
        self.genericDriver = ""
        self.MACAddress = f"{next(_macs):012X}"
        self.properties: dict[str, str] = {}
        self.wire: socket.socket | None = None
        self._kind = 1  # NAT, as every new machine has it.

    @property
    def attachmentType(self) -> int:
        return self._kind

    @attachmentType.setter
    def attachmentType(self, kind: int) -> None:
        self._kind = kind
        if self.wire:
            self.plug()

    def plug(self) -> None:
        """Open the port of UDPTunnel, as that does it."""
        self.unplug()
        if "sport" not in self.properties:
            return
        self.wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.wire.settimeout(10)
        self.wire.bind(("", int(self.properties["sport"])))

    def unplug(self) -> None:
        if self.wire:
            self.wire.close()
        self.wire = None

    def setProperty(self, key: str, value: str) -> None:
        self.properties[key] = value

    def getProperty(self, key: str) -> str:
        return self.properties[key]


class Snapshot:
    """Holds settings, disk and, if the machine ran, memory."""

    def __init__(self, machine: Machine, name: str, description: str) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.description = description
        self.timeStamp = int(time.time() * 1000)
        self.parent = machine.currentSnapshot
        self.children: list[Snapshot] = []
        self.text = machine.text
        self.memory = copy.deepcopy(machine.memory)
        self.properties = dict(machine.adapter.properties)


class Machine:
    """An IMachine. Its settings may be written only through a session, as in the real one."""

    def __init__(self, world: Any, settings: str, name: str, flags: str) -> None:
        self._world = world
        self.id = flags.removeprefix("UUID=")
        self.name = name
        self.settingsFilePath = settings
        self.description = self.snapshotFolder = ""
        self.memorySize, self.CPUCount, self.CPUExecutionCap = 128, 1, 100
        self.VMProcessPriority = 1
        self.label = "PoweredOff"
        self.accessible = True
        self.holders: list[Session] = []
        self.disk: Medium | None = None
        self.memory: dict[str, bool] | None = None
        self.currentSnapshot: Snapshot | None = None
        self.root: Snapshot | None = None
        self.refusesPowerDown = False
        self._extra: dict[str, str] = {}
        self.adapter = Adapter()
        self._add_what_differs_by_version(world.version_numbers)

    def _add_what_differs_by_version(self, version: tuple[int, int]) -> None:
        apic, clock = SimpleNamespace(IOAPICEnabled=False), SimpleNamespace(RTCUseUTC=False)
        audio = SimpleNamespace(enabled=True)
        if version >= (7, 1):
            self.firmwareSettings, self.platform = apic, clock
        else:
            self.BIOSSettings, self.RTCUseUTC = apic, False
        if version >= (7, 0):
            self.audioSettings = SimpleNamespace(adapter=audio)
        else:
            self.audioAdapter = audio

    # -- settings

    @property
    def state(self) -> int:
        return int(self._world.numbers["MachineState"][self.label])

    @property
    def sessionState(self) -> int:
        held = self.holders or (self.memory is not None and self.label in ("Running", "Paused", "Stuck"))
        return int(self._world.numbers["SessionState"]["Locked" if held else "Unlocked"])

    @property
    def sessionPID(self) -> int:
        return 2**32 - 1  # There is none.

    @property
    def text(self) -> str:
        return self.disk.text if self.disk else ""

    def getExtraData(self, key: str) -> str:
        return self._extra.get(key, "")

    def setExtraData(self, key: str, value: str) -> None:
        self._extra[key] = value

    def setBootOrder(self, position: int, device: int) -> None:
        assert 1 <= position <= 4

    def addStorageController(self, name: str, bus: int) -> Any:
        return SimpleNamespace(name=name, bus=bus, portCount=1)

    def getNetworkAdapter(self, slot: int) -> Any:
        return self.adapter

    def attachDevice(self, name: str, port: int, device: int, kind: int, medium: Medium) -> None:
        self._demand_held()
        medium.machineIds.append(self.id)
        if kind == self._world.numbers["DeviceType"]["HardDisk"]:
            self.disk = medium

    def saveSettings(self) -> None:
        self._demand_held()
        Path(self.settingsFilePath).write_text("<VirtualBox/>", encoding="utf-8")

    def _demand_held(self) -> None:
        if not self.holders:
            raise ComError(INVALID_VM_STATE, "The machine is not mutable")

    # -- sessions

    def lockMachine(self, session: Session, kind: int) -> None:
        shared = kind == self._world.numbers["LockType"]["Shared"]
        if self.holders or (self.memory is not None and self.label != "Saved" and not shared):
            raise ComError(INVALID_OBJECT_STATE, f"The machine '{self.name}' is already locked for a session")
        session.hold(self)

    def launchVMProcess(self, session: Session, kind: str, environment: list[str]) -> Progress:
        if isinstance(environment, str):
            raise TypeError("environment is a list since 6.1")
        if self._world.broken_start:
            return Progress(self._world.broken_start)
        self.memory = self.memory or {}
        self.label = "Running"
        self.adapter.plug()
        session.hold(self)
        return Progress()

    def end(self, label: str, memory: dict[str, bool] | None = None) -> None:
        """The process is gone."""
        self.label, self.memory = label, memory
        self.adapter.unplug()
        for session in list(self.holders):
            session.unlockMachine()

    # -- states and snapshots

    def saveState(self) -> Progress:
        memory = self.memory
        self.end("Saved", memory)
        return Progress()

    def discardSavedState(self, remove: bool) -> None:
        self._demand_held()
        self.label, self.memory = "PoweredOff", None

    @property
    def snapshotCount(self) -> int:
        return len(self._snapshots())

    def _snapshots(self) -> list[Snapshot]:
        found = [self.root] if self.root else []
        for snapshot in found:
            found += snapshot.children
        return found

    def findSnapshot(self, name: str) -> Snapshot:
        for snapshot in self._snapshots():
            if name in ("", snapshot.id, snapshot.name):
                return snapshot
        raise ComError(NOT_FOUND, "This machine does not have any snapshots")

    def takeSnapshot(self, name: str, description: str, pause: bool) -> tuple[Progress, str]:
        self._demand_held()
        snapshot = Snapshot(self, name, description)
        if snapshot.parent:
            snapshot.parent.children.append(snapshot)
        else:
            self.root = snapshot
        self.currentSnapshot = snapshot
        return Progress(), snapshot.id

    def restoreSnapshot(self, snapshot: Snapshot) -> Progress:
        self._demand_held()
        assert self.disk is not None
        self.disk.text, self.memory = snapshot.text, copy.deepcopy(snapshot.memory)
        self.adapter.properties = dict(snapshot.properties)
        self.label = "PoweredOff" if self.memory is None else "Saved"
        self.currentSnapshot = snapshot
        return Progress()

    def deleteSnapshot(self, name: str) -> Progress:
        snapshot = self.findSnapshot(name)
        if len(snapshot.children) + (snapshot is self.currentSnapshot) > 1:
            raise ComError(INVALID_OBJECT_STATE, f"Snapshot '{snapshot.name}' cannot be deleted")
        parent, child = snapshot.parent, snapshot.children[0] if snapshot.children else None
        if child:
            child.parent = parent
        if parent:
            parent.children = [one for one in parent.children if one is not snapshot] + ([child] if child else [])
        else:
            self.root = child
        if self.currentSnapshot is snapshot:
            self.currentSnapshot = parent
        return Progress()

    def unregister(self, mode: int) -> list[Medium]:
        if self.sessionState != self._world.numbers["SessionState"]["Unlocked"]:
            raise ComError(INVALID_OBJECT_STATE, f"Cannot unregister the machine '{self.name}' while it is locked")
        self._world.machines.remove(self)
        mine = [medium for medium in self._world.media if self.id in medium.machineIds]
        for medium in mine:
            medium.machineIds.remove(self.id)
        # The real one gives the parent back, too, which is nobody's to delete.
        return [medium.parent for medium in mine if medium.parent] + [medium for medium in mine if medium.parent]


class Session:
    """An ISession."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.machine: Machine | None = None

    @property
    def state(self) -> int:
        return int(self._world.numbers["SessionState"]["Locked" if self.machine else "Unlocked"])

    @property
    def console(self) -> Console:
        assert self.machine is not None
        return Console(self.machine)

    def hold(self, machine: Machine) -> None:
        machine.holders.append(self)
        self.machine = machine

    def unlockMachine(self) -> None:
        if self.machine is None:
            raise ComError(0x8000FFFF, "The session is not locked")
        self.machine.holders.remove(self)
        self.machine = None


class Console:
    """An IConsole."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.display = self
        self.debugger = self

    def powerDown(self) -> Progress:
        if self._machine.refusesPowerDown:
            raise ComError(FAILED, "The machine does not react")
        self._machine.end("PoweredOff")
        return Progress()

    def powerButton(self) -> None:
        self._machine.end("PoweredOff")

    def reset(self) -> None:
        self._machine.memory = {}

    def pause(self) -> None:
        self._machine.label = "Paused"

    def resume(self) -> None:
        self._machine.label = "Running"

    def getScreenResolution(self, screen: int) -> tuple[int, ...]:
        return 720, 400, 32, 0, 0, 1

    def takeScreenShotToArray(self, screen: int, width: int, height: int, kind: int) -> bytes:
        return PNG

    def getStats(self, pattern: str, described: bool) -> str:
        return (
            '<Statistics>\n<U64 val="2500000000" unit="ns" name="/TM/CPU/00/cNsExecuting"/>\n'
            '<U64 val="500000000" unit="ns" name="/TM/CPU/00/cNsOther"/>\n'
            '<U32 val="1000" unit="count" name="/PGM/Page/cPrivatePages"/>\n</Statistics>\n'
        )
