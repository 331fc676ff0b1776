"""A daemon that does what a test says: the XML-RPC API over real HTTP, with VMs and programs that are only told of.

It serves what hardly happens, or only with hypervisors that are not here: programs that survive a snapshot, leases
that run out, commands that get lost, VMs that do not start. What is true of the real daemon is tested with that one
(tests/loopback/test_vmwrapper.py).
"""

from __future__ import annotations

import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.vmcontroller.fake_daemon import HangUp, fake_daemon
from tests.wrapper.harness import HASTE
from wrapper.remote import Code


@dataclass
class Command:
    """A command as the daemon knows it. A test changes it while it runs."""

    vm: str
    request: tuple[Any, ...]
    output: dict[str, bytes] = field(default_factory=lambda: {"out": b"", "err": b""})
    outcome: str = ""
    value: int = 0
    reason: str = ""
    cpu: float = 0.0
    looks: int = 0

    def end(self, outcome: str = "exited", value: int = 0, reason: str = "") -> None:
        self.outcome, self.value, self.reason = outcome, value, reason

    def told(self) -> dict[str, Any]:
        return {
            "state": self.outcome or "accepted",
            "out": len(self.output["out"]),
            "err": len(self.output["err"]),
            "outcome": self.outcome,
            "exitCodeOrSignal": self.value,
            "reason": self.reason,
            "resources": {"ru_utime": self.cpu * 0.75, "ru_stime": self.cpu * 0.25},
        }


class ScriptedDaemon:
    """The API's methods, and what a test looks at and changes.

    ``program`` is called at each look at a running command; what it does to the Command is what the program does.
    ``before`` is called with every method's name and arguments before it is carried out.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.vms: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.commands: dict[str, Command] = {}
        self.leases: dict[str, str] = {}
        self.leased: dict[str, str] = {}
        self.snapshots: dict[str, list[str]] = {}
        self.snapshots_keep_programs = False
        self.program: Callable[[Command], None] = lambda command: command.end()
        self.before: Callable[..., None] = lambda *call: None
        self.guests_silent = False

    def answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Carry out one call."""
        self.calls.append((method, *arguments))
        self.before(method, *arguments)
        return getattr(self, f"call_{method}")(*arguments)

    def methods(self) -> list[str]:
        """The names of the calls that were made, the questions left out."""
        quiet = ("renewLease", "getCmdDetails", "waitForCmd", "getState", "waitForVM", "listVMs")
        return [call[0] for call in self.calls if call[0] not in quiet]

    def only(self) -> Command:
        """The one command that there is."""
        (command,) = self.commands.values()
        return command

    # -- VMs

    def _state(self, vm: str) -> str:
        if vm not in self.vms:
            refuse(Code.UNKNOWN_VM, f"no VM is called {vm}")
        return self.vms[vm]

    def _turn(self, vm: str, allowed: tuple[str, ...], state: str) -> bool:
        if self._state(vm) not in allowed:
            refuse(Code.BAD_STATE, f"{vm} is {self.vms[vm]}")
        self.vms[vm] = state
        return True

    def call_listVMs(self) -> list[str]:
        return sorted(self.vms)

    def call_createVM(self, name: str, image: str, options: dict[str, Any]) -> list[Any]:
        self.vms[name] = "PoweredOff"
        self.leased[name] = options["lease"]
        return [True, name]

    def call_start(self, vm: str) -> bool:
        return self._turn(vm, ("PoweredOff", "Saved", "Aborted"), "Running")

    def call_powerOff(self, vm: str) -> bool:
        return self._turn(vm, ("Running", "Paused"), "PoweredOff")

    def call_pause(self, vm: str) -> bool:
        return self._turn(vm, ("Running",), "Paused")

    def call_resume(self, vm: str) -> bool:
        return self._turn(vm, ("Paused",), "Running")

    def call_saveState(self, vm: str) -> bool:
        return self._turn(vm, ("Running", "Paused"), "Saved")

    def call_removeVM(self, vm: str) -> bool:
        self._state(vm)
        del self.vms[vm]
        return True

    def call_getState(self, vm: str) -> str:
        return self._state(vm)

    def call_waitForVM(self, vm: str, timeout: float) -> bool:
        return self._state(vm) == "Running" and not self.guests_silent

    def call_takeSnapshot(self, vm: str, name: str, description: str) -> bool:
        self.snapshots.setdefault(vm, []).append(name)
        return True

    def call_restoreSnapshot(self, vm: str, name: str) -> bool:
        if name not in self.snapshots.get(vm, []):
            refuse(Code.UNKNOWN_SNAPSHOT, f"no snapshot {name}")
        return self._turn(
            vm, ("PoweredOff", "Saved", "Aborted"), "Saved" if self.snapshots_keep_programs else "PoweredOff"
        )

    def call_deleteSnapshot(self, vm: str, name: str) -> bool:
        self.snapshots[vm].remove(name)
        return True

    # -- leases

    def call_openLease(self, holder: str, seconds: float) -> str:
        lease = f"lease-{len(self.leases)}"
        self.leases[lease] = holder
        return lease

    def call_renewLease(self, lease: str) -> bool:
        if lease not in self.leases:
            refuse(Code.UNKNOWN_LEASE, "it has run out")
        return True

    def call_leaseVM(self, lease: str, vm: str) -> bool:
        self.call_renewLease(lease)
        self.leased[vm] = lease
        return True

    def call_closeLease(self, lease: str) -> bool:
        self.call_renewLease(lease)
        del self.leases[lease]
        return True

    # -- files

    def call_startTransfer(self, direction: str, vm: str, source: str, destination: str) -> str:
        if direction == "put":
            if Path(source).is_file():
                self.files[destination] = Path(source).read_bytes()
            return "done"
        if source not in self.files:
            return "missing"
        Path(destination).write_bytes(self.files[source])
        return "done"

    def call_waitForTransfer(self, transfer: str, timeout: float) -> dict[str, Any]:
        if transfer == "done":
            return {"state": "done", "done": 1, "total": 1, "error": "", "faultCode": 0}
        return {
            "state": "failed",
            "done": 0,
            "total": 0,
            "error": "it is not there",
            "faultCode": int(Code.NO_SUCH_FILE),
        }

    def call_cpFileFromVM(self, vm: str, remote: str, local: str) -> list[Any]:
        if remote not in self.files:
            return ["", "it is not there", 1]
        Path(local).write_bytes(self.files[remote])
        return ["", "", 0]

    # -- commands

    def call_runCmd(self, vm: str, *request: Any) -> str:
        cmd_id = str(request[-1]["cmdId"])
        self.commands.setdefault(cmd_id, Command(vm, request))
        return cmd_id

    def _command(self, cmd_id: str) -> Command:
        if cmd_id not in self.commands:
            refuse(Code.UNKNOWN_COMMAND, f"no command {cmd_id}")
        return self.commands[cmd_id]

    def call_getCmdDetails(self, cmd_id: str) -> dict[str, Any]:
        command = self._command(cmd_id)
        command.looks += 1
        if not command.outcome:
            self.program(command)
        return {"parts": {command.vm: command.told()}}

    def call_waitForCmd(self, cmd_id: str, timeout: float) -> dict[str, Any]:
        if not self._command(cmd_id).outcome:
            time.sleep(timeout / HASTE)
        return {"finished": bool(self._command(cmd_id).outcome), "waiting": []}

    def call_getCmdOutput(self, cmd_id: str, stream: str, offset: int, length: int) -> xmlrpc.client.Binary:
        return xmlrpc.client.Binary(self._command(cmd_id).output[stream][offset : offset + length])

    def call_signalCmd(self, cmd_id: str, number: int) -> bool:
        if self._command(cmd_id).outcome:
            refuse(Code.COMMAND_ENDED, "it has ended")
        return True

    def call_listCmds(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"cmdId": c} for c, command in self.commands.items() if command.request[-1]["group"] == wanted["group"]]

    def call_forgetCmd(self, cmd_id: str) -> bool:
        self._command(cmd_id)
        del self.commands[cmd_id]
        return True


def refuse(code: int, text: str) -> None:
    """Answer with a fault."""
    raise xmlrpc.client.Fault(int(code), text)


@contextmanager
def serving(daemon: ScriptedDaemon, state_dir: Path) -> Iterator[None]:
    """The daemon can be found in ``state_dir`` and called, one call at a time."""
    lock, gone = threading.Lock(), threading.Event()

    def answer(method: str, *arguments: Any) -> Any:
        with lock:
            if gone.is_set():
                raise HangUp
            return daemon.answer(method, arguments)

    names = [name.removeprefix("call_") for name in dir(daemon) if name.startswith("call_")]
    state_dir.mkdir(exist_ok=True)
    with fake_daemon(state_dir, {name: partial(answer, name) for name in names}):
        try:
            yield
        finally:
            gone.set()
