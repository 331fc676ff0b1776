"""The connection with VirtualBox's service, and what every job needs: machines by their ids, sessions, states.

Only this module imports pyvbox, and only when a connection is opened: it needs the Python binding that comes with
VirtualBox itself, which may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from vmcontroller.errors import HypervisorMissing, UnknownVM
from vmcontroller.hypervisors.virtualbox.shims import Shims

_OLDEST = (6, 1)
#: The states in which a process runs the machine and shares it with others.
_RUNNING = ("Running", "Paused", "Stuck")
_INSTALL = "install VirtualBox 6.1 or newer (https://www.virtualbox.org), or choose another hypervisor"
_BINDING = (
    "the Python binding of VirtualBox is missing ({error}); it comes with VirtualBox: on Debian and Ubuntu it is in the"
    " package virtualbox, elsewhere run vboxapisetup.py from VirtualBox's SDK with this Python, or choose another"
    " hypervisor"
)


class Link:
    """An open connection. ``library`` is pyvbox's, ``vbox`` its IVirtualBox."""

    def __init__(self, pyvbox: ModuleType, vbox: Any) -> None:
        self.vbox = vbox
        self.library = pyvbox.library
        self.version = version_of(vbox.version)
        self._pyvbox = pyvbox
        self._manager = pyvbox.Manager().manager
        self.shims = Shims(self.library, vbox, self.version, _state_labels(self._manager.constants))

    @classmethod
    def open(cls) -> Link:
        """Connect; the service is started by that. HypervisorMissing says what to install; anything else may pass."""
        try:
            import virtualbox as pyvbox  # noqa: PLC0415
        except ImportError as error:
            raise HypervisorMissing(f"pyvbox is missing ({error}); pip install virtualbox") from None
        try:
            link = cls(pyvbox, pyvbox.VirtualBox())
        except ImportError as error:
            raise HypervisorMissing(_BINDING.format(error=error)) from None
        if link.version < _OLDEST:
            raise HypervisorMissing(f"VirtualBox {vbox_text(link)} is too old; {_INSTALL}")
        return link

    def alive(self) -> bool:
        """Whether the service still answers."""
        try:
            return bool(self.vbox.version)
        except Exception:  # What a dead connection raises differs by system and version.
            return False

    def close(self) -> None:
        """Let go. Without it the binding complains at the end of the process."""
        deinit = getattr(self._manager, "deinit", None)
        if deinit:
            deinit()

    # -- machines

    def find(self, uuid: str) -> Any | None:
        """The IMachine with this UUID, or None when it is not registered."""
        try:
            return self.vbox.find_machine(uuid)
        except self.library.VBoxErrorObjectNotFound:
            return None

    def machine(self, uuid: str) -> Any:
        """The IMachine with this UUID; UnknownVM."""
        machine = self.find(uuid)
        if machine is None:
            raise UnknownVM("VirtualBox does not know this VM any more: somebody else removed it; create it again")
        return machine

    def state(self, machine: Any) -> str:
        """A machine's state as VirtualBox calls it, such as "PoweredOff"."""
        return self.shims.state(machine)

    def free(self, machine: Any) -> bool:
        """Whether no session holds the machine, so that it can be started or changed."""
        return bool(machine.session_state == self.library.SessionState.unlocked)

    def ready(self, machine: Any) -> bool:
        """Whether the machine can be held: it runs, or nobody holds it."""
        return self.state(machine) in _RUNNING or self.free(machine)

    @contextmanager
    def running(self, uuid: str) -> Iterator[Any]:
        """The ISession of a machine that runs."""
        with self._session(uuid, self.library.LockType.shared) as session:
            yield session

    @contextmanager
    def editing(self, uuid: str) -> Iterator[Any]:
        """The machine to be changed while it does not run; what was changed is kept unless something fails."""
        with self._session(uuid, self.library.LockType.write) as session:
            yield session.machine
            session.machine.save_settings()

    @contextmanager
    def changing(self, uuid: str) -> Iterator[Any]:
        """The machine to be changed in what may change at any time."""
        runs = self.state(self.machine(uuid)) in _RUNNING
        with self._session(uuid, self.library.LockType.shared if runs else self.library.LockType.write) as session:
            yield session.machine

    @contextmanager
    def _session(self, uuid: str, lock: Any) -> Iterator[Any]:
        session = self.session()
        self.machine(uuid).lock_machine(session, lock)
        try:
            yield session
        finally:
            self.release(session)

    def session(self) -> Any:
        """A new ISession."""
        return self._pyvbox.Session()

    def release(self, session: Any) -> None:
        """Unlock, if the session still holds a machine: one that ends lets go of it by itself, at any moment."""
        try:
            if session.state == self.library.SessionState.locked:
                session.unlock_machine()
        except Exception:  # As at the end of every process: what is raised differs by moment and version.
            pass


def vbox_text(link: Link) -> str:
    """The version as VirtualBox says it, such as "7.2.22_Debian"."""
    return str(link.vbox.version)


def sentence(error: Exception) -> str:
    """VirtualBox's own words, without what pyvbox puts around them."""
    return str(getattr(error, "msg", None) or error or type(error).__name__)


def version_of(text: str) -> tuple[int, int]:
    """(7, 2) of "7.2.22_Debian"."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return (numbers[0], numbers[1]) if len(numbers) > 1 else (0, 0)


def _state_labels(constants: Any) -> dict[int, str]:
    """MachineState's labels by number, as the installed VirtualBox counts them."""
    values = constants.all_values("MachineState")
    return {int(number): label for label, number in values.items() if not label.startswith(("First", "Last"))}
