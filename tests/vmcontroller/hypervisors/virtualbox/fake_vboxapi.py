"""A stand-in for VirtualBox's Python binding: the module ``vboxapi``, over a service that lives in this process.

pyvbox works upon it as upon the real one. ``installed(World("7.2.22"))`` puts it where pyvbox looks for it.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import virtualbox as pyvbox

from tests.vmcontroller.hypervisors.virtualbox.fake_machine import NOT_FOUND, ComError, Machine, Medium, Session
from vmcontroller.hypervisors.virtualbox.worker import serve

TABLES = json.loads(Path(__file__).with_name("enumerations.json").read_text(encoding="utf-8"))
GONE = 0x80004004


class World:
    """VirtualBox's service and all that it knows. ``release`` says whose interfaces and numbers it has."""

    def __init__(self, release: str) -> None:
        self.release = release
        self.version_numbers = tuple(int(number) for number in release.split(".")[:2])
        self.numbers = TABLES[release]
        self.machines: list[Machine] = []
        self.media: list[Medium] = []
        self.broken_start = ""
        self.life = 1
        self.struck_off: dict[str, Machine] = {}

    def die(self) -> None:
        """The service ends, and with it all machines; the next connection finds a new one."""
        self.life += 1
        for machine in self.machines:
            if machine.label in ("Running", "Paused"):
                machine.end("Aborted")

    def machine(self, title: str) -> Machine:
        """The machine that is called so."""
        return next(machine for machine in self.machines if machine.name == title)

    def strike_off(self, title: str) -> None:
        """Somebody takes a machine off the list; its files stay."""
        machine = self.machine(title)
        self.machines.remove(machine)
        self.struck_off[machine.settingsFilePath] = machine


class VirtualBox:
    """An IVirtualBox, as long as the service lives that it was got from."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._life = world.life

    @property
    def version(self) -> str:
        self._demand_life()
        return f"{self._world.release}_Fake"

    def _demand_life(self) -> None:
        if self._life != self._world.life:
            raise ComError(GONE, "Operation aborted")

    def findMachine(self, name: str) -> Machine:
        self._demand_life()
        for machine in self._world.machines:
            if name in (machine.id, machine.name):
                return machine
        raise ComError(NOT_FOUND, f"Could not find a registered machine {name}")

    def createMachine(self, *arguments: Any) -> Machine:
        shape = {(6, 1): 5, (7, 0): 8}.get(self._world.version_numbers, 9)  # type: ignore[call-overload]
        if len(arguments) != shape:
            raise TypeError(f"createMachine takes {shape} arguments")
        settings, name = arguments[:2]
        return Machine(self._world, settings, name, next(one for one in arguments if "UUID=" in str(one)))

    def openMachine(self, *arguments: str) -> Machine:
        if len(arguments) != (1 if self._world.version_numbers < (7, 0) else 2):
            raise TypeError("openMachine has another number of arguments")
        return self._world.struck_off.pop(arguments[0])

    def registerMachine(self, machine: Machine) -> None:
        self._world.machines.append(machine)
        Path(machine.settingsFilePath).write_text("<VirtualBox/>", encoding="utf-8")

    def createMedium(self, kind: str, location: str, access: int, device: int) -> Medium:
        return Medium(self._world, location)

    def openMedium(self, location: str, device: int, access: int, new_uuid: bool) -> Medium:
        known = [medium for medium in self._world.media if medium.location == location]
        if known:
            return known[0]
        if not Path(location).read_bytes():
            raise ComError(NOT_FOUND, "the medium is empty")
        medium = Medium(self._world, location)
        self._world.media.append(medium)
        return medium

    @property
    def DVDImages(self) -> list[Medium]:
        return [medium for medium in self._world.media if medium.location.endswith(".iso")]


class VirtualBoxManager:
    """What ``vboxapi`` is asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.constants = self

    def all_values(self, name: str) -> dict[str, int]:
        return dict(self._world.numbers[name])

    def getVirtualBox(self) -> VirtualBox:
        return VirtualBox(self._world)

    def getSessionObject(self, ignored: Any) -> Session:
        return Session(self._world)

    def queryInterface(self, what: Any, name: str) -> Any:
        return what

    def deinit(self) -> bool:
        return True


@contextmanager
def installed(world: World) -> Iterator[World]:
    """Within the block pyvbox finds this binding, and no manager of an earlier one."""
    module = ModuleType("vboxapi")
    module.VirtualBoxManager = lambda style, parameters: VirtualBoxManager(world)  # type: ignore[attr-defined]
    kept = sys.modules.get("vboxapi")
    sys.modules["vboxapi"] = module
    pyvbox._managers.clear()
    try:
        yield world
    finally:
        pyvbox._managers.clear()
        del sys.modules["vboxapi"]
        if kept is not None:
            sys.modules["vboxapi"] = kept


class ServingThread(threading.Thread):
    """Serves a connection in this process, where the fake is."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(target=serve, args=(connection,), daemon=True)
        self.start()

    def kill(self) -> None:
        """A thread ends when its connection does."""
