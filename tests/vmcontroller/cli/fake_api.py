"""The API's methods for the tests of the command line: VMs are entries in a dict, commands are real processes here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vmcontroller.errors import BadState, CommandEnded, NoSuchFile, UnknownCommand, UnknownVM, VMControllerError


def fault(kind: type[VMControllerError], text: str) -> xmlrpc.client.Fault:
    return xmlrpc.client.Fault(kind.code, text)


class FakePart:
    """One command in one VM: a process, and what became of it."""

    def __init__(self, command: list[str], env: dict[str, str], stdin: bool) -> None:
        self.files = {name: tempfile.TemporaryFile() for name in ("out", "err")}  # noqa: SIM115
        self.outcome, self.value, self.reason = "", -1, ""
        try:
            self.process: subprocess.Popen[bytes] | None = subprocess.Popen(
                command,
                env={**os.environ, **env},
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=self.files["out"],
                stderr=self.files["err"],
                start_new_session=True,
            )
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            self.process, self.outcome = None, "notStarted"
            self.reason = f"{command[0]} {'does not exist in the guest' if missing else 'is not executable'}."

    def end(self, outcome: str, reason: str = "") -> None:
        """Give it an outcome that no process has."""
        self.kill(signal.SIGKILL)
        self.outcome, self.reason = outcome, reason

    def kill(self, number: int) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            if number == signal.SIGKILL:
                self.process.wait()

    def look(self) -> str:
        """The outcome, or "" while it runs."""
        if not self.outcome and self.process and self.process.poll() is not None:
            code = self.process.returncode
            self.outcome, self.value = ("signalled", -code) if code < 0 else ("exited", code)
        return self.outcome

    def read(self, stream: str, offset: int) -> bytes:
        """What is there; a caller who has left may still wait for it after the test."""
        file = self.files[stream]
        return b"" if file.closed else os.pread(file.fileno(), 1 << 20, offset)

    def told(self) -> dict[str, Any]:
        outcome = self.look()
        return {
            "id": "id-of-it",
            "state": outcome or "accepted",
            "outcome": outcome,
            "exitCodeOrSignal": self.value,
            "reason": self.reason,
            "resources": {"ru_utime": 0.5},
        }

    def close(self) -> None:
        self.kill(signal.SIGKILL)
        if self.process and self.process.stdin:
            self.process.stdin.close()
        for file in self.files.values():
            file.close()


class FakeApi:
    """``vms`` maps a name to its state; ``cmds`` a command's id to its parts."""

    def __init__(self, **vms: str) -> None:
        self.vms = dict(vms)
        self.ids = {vm: f"id-{vm}" for vm in vms}
        self.alive = {vm for vm, state in vms.items() if state == "Running"}
        self.cmds: dict[str, dict[str, FakePart]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.forgotten: list[str] = []
        self.transfers: dict[str, dict[str, Any]] = {}
        self.stalls = False
        self.taken = True
        self.snapshots: dict[str, list[dict[str, Any]]] = {}

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Every public method of this class that the API has, and the machine verbs."""
        verbs = {
            "start": ("PoweredOff", "Running"),
            "shutdown": ("Running", "PoweredOff"),
            "powerOff": ("Running", "PoweredOff"),
            "saveState": ("Running", "Saved"),
            "pause": ("Running", "Paused"),
            "resume": ("Paused", "Running"),
        }
        own = {
            name: getattr(self, name)
            for name in dir(self)
            if name[0].islower() and name not in ("methods", "close", "serve")
        }
        moves = {name: self._verb(name, *states) for name, states in verbs.items()}
        return {**{name: value for name, value in own.items() if callable(value)}, **moves}

    def close(self) -> None:
        for parts in self.cmds.values():
            for part in parts.values():
                part.close()

    # -- machines

    def _known(self, vm: str) -> str:
        found = [name for name, vm_id in self.ids.items() if vm in (name, vm_id)]
        if not found:
            raise fault(UnknownVM, f"no VM is named {vm}")
        return found[0]

    def _verb(self, name: str, before: str, after: str) -> Callable[[str], bool]:
        def verb(vm: str) -> bool:
            vm = self._known(vm)
            if self.vms[vm] != before:
                raise fault(BadState, f"{vm} is {self.vms[vm]}; {name} needs it to be {before}")
            self.vms[vm] = after
            (self.alive.add if after == "Running" else self.alive.discard)(vm)
            return True

        return verb

    def listVMs(self) -> list[str]:
        return list(self.vms)

    def listVMsWithState(self) -> dict[str, str]:
        return self.vms

    def listRunningVMs(self) -> list[str]:
        return [vm for vm, state in self.vms.items() if state == "Running"]

    def listRegisteredVMs(self) -> list[str]:
        return sorted(self.alive)

    def getNamesToIdsMapping(self) -> dict[str, str]:
        return self.ids

    def getState(self, vm: str) -> str:
        return self.vms[self._known(vm)]

    def getVM(self, vm: str) -> dict[str, Any]:
        name = self._known(vm)
        shown = {"load": [0.25, 0.5, 1.0], "addresses": ["10.0.2.15"]} if name in self.alive else {}
        vm_id, state = self.ids[name], self.vms[name]
        return {"id": vm_id, "name": name, "group": "default", "state": state, "alive": name in self.alive, **shown}

    def createVM(self, name: str, image: str = "", options: Any = None) -> list[Any]:
        self.vms[name], self.ids[name] = "PoweredOff", f"id-{name}"
        return [True, name]

    def getCreation(self, name: str) -> dict[str, int]:
        return {"done": 0, "total": 0}

    def removeVM(self, vm: str) -> bool:
        name = self._known(vm)
        del self.vms[name], self.ids[name]
        return True

    def waitForVM(self, vm: str, timeout: float) -> bool:
        return self._known(vm) in self.alive

    def getInfo(self) -> dict[str, Any]:
        texts = {"id": "d1", "version": "9", "hypervisor": "fake", "hypervisorVersion": "1", "broker": "embedded"}
        return {**texts, "pid": 7, "stateDir": "/state", "uptime": 3661.0, "vms": len(self.vms), "guests": 0, "cmds": 0}

    def takeSnapshot(self, vm: str, name: str, description: str = "") -> bool:
        taken = {"name": name, "description": description, "taken": 1.0e9}
        self.snapshots.setdefault(self._known(vm), []).append(taken)
        return True

    def restoreSnapshot(self, vm: str, name: str = "") -> bool:
        return bool(self._known(vm))

    def deleteSnapshot(self, vm: str, name: str) -> bool:
        return bool(self._known(vm))

    def listSnapshots(self, vm: str) -> list[dict[str, Any]]:
        return self.snapshots.get(self._known(vm), [])

    # -- commands

    def runCmd(
        self, to: str, cmd: str, args: list[str], env: dict[str, str], path: str, stdin: str, options: dict[str, Any]
    ) -> str:
        pattern = to not in {*self.ids, *self.ids.values()}
        audience = [vm for vm in self.vms if fnmatchcase(vm, to)] if pattern else [self._known(to)]
        if not audience:
            raise fault(UnknownVM, f"no VM matches {to}")
        cmd_id = options["cmdId"]
        self.asked[cmd_id] = {"to": to, "cmd": cmd, "args": args, "path": path, "options": options}
        stream = options.get("stdin") == "stream"
        self.cmds[cmd_id] = {vm: FakePart([cmd, *args], {**env, "VM": vm}, stream) for vm in audience}
        return cmd_id

    def _parts(self, cmd_id: str, vm: str = "") -> dict[str, FakePart]:
        if cmd_id not in self.cmds:
            raise fault(UnknownCommand, f"no command has the id {cmd_id}")
        return {name: part for name, part in self.cmds[cmd_id].items() if vm in ("", name)}

    def getCmdDetails(self, cmd_id: str) -> dict[str, Any]:
        parts = {vm: {**part.told(), **self._where(vm)} for vm, part in self._parts(cmd_id).items()}
        return {"cmdId": cmd_id, "timestamp": time.time() - 75, "parts": parts, **self.asked[cmd_id]}

    def _where(self, vm: str) -> dict[str, Any]:
        """``taken`` false: no agent has heard of any command."""
        return {"id": self.ids[vm], "alive": vm in self.alive} | ({} if self.taken else {"state": "sent"})

    def listCmds(self, filter: dict[str, Any]) -> list[dict[str, Any]]:
        return [self.getCmdDetails(cmd_id) for cmd_id in self.cmds]

    def waitForOutput(self, cmd_id: str, out: int, err: int, timeout: float, vm: str = "") -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            (part,) = self._parts(cmd_id, vm).values()
            ended = bool(part.look())
            found = {"out": part.read("out", out), "err": part.read("err", err)}
            if ended or any(found.values()) or time.monotonic() > deadline:
                return {**found, "ended": ended and all(len(data) < 1 << 20 for data in found.values())}
            time.sleep(0.005)

    def waitForCmd(self, cmd_id: str, timeout: float) -> dict[str, Any]:
        waiting = [vm for vm, part in self._parts(cmd_id).items() if not part.look()]
        return {"finished": not waiting, "waiting": waiting}

    def signalCmd(self, cmd_id: str, number: int) -> bool:
        running = [part for part in self._parts(cmd_id).values() if not part.look()]
        if not running:
            raise fault(CommandEnded, "it has ended")
        for part in running:
            part.kill(number)
        return True

    def writeStdin(self, cmd_id: str, data: bytes) -> bool:
        for part in self._parts(cmd_id).values():
            self._feed(part, data)
        return True

    def closeStdin(self, cmd_id: str) -> bool:
        return self.writeStdin(cmd_id, b"")

    def _feed(self, part: FakePart, data: bytes) -> None:
        if part.process is None or part.process.stdin is None:
            raise fault(CommandEnded, "it reads no more")
        try:
            if data:
                part.process.stdin.write(data)
                part.process.stdin.flush()
            else:
                part.process.stdin.close()
        except (BrokenPipeError, ValueError):
            raise fault(CommandEnded, "it reads no more") from None

    def forgetCmd(self, cmd_id: str) -> bool:
        for part in self._parts(cmd_id).values():
            part.close()
        del self.cmds[cmd_id]
        self.forgotten.append(cmd_id)
        return True

    # -- files: a VM's directory is one here

    def serve(self, root: Path) -> None:
        """Let the VMs' directories lie in ``root``."""
        self._root = root
        for vm in self.vms:
            (root / vm).mkdir()

    def _place(self, vm: str, path: str) -> Path:
        return self._root / self._known(vm) / path.strip("/")

    def listFiles(self, vm: str, path: str = "/") -> list[dict[str, Any]]:
        place = self._place(vm, path)
        if not place.is_dir():
            raise fault(NoSuchFile, f"{path} is no directory")
        return [{"name": child.name} for child in place.iterdir()]

    def startTransfer(self, direction: str, vm: str, source: str, destination: str) -> str:
        inside = self._place(vm, destination if direction == "put" else source)
        here = Path(source if direction == "put" else destination)
        transfer = str(len(self.transfers))
        self.transfers[transfer] = {"state": "running", "done": 5, "total": 10, "current": source, "files": 1}
        if not self.stalls:
            self._copy(transfer, *((here, inside) if direction == "put" else (inside, here)))
        return transfer

    def _copy(self, transfer: str, source: Path, target: Path) -> None:
        told = {"state": "done", "done": 10, "error": "", "faultCode": 0}
        try:
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, target)  # type: ignore[operator]
        except OSError:
            told |= {"state": "failed", "error": f"{source.name} is not there", "faultCode": NoSuchFile.code}
        self.transfers[transfer] |= told

    def waitForTransfer(self, transfer: str, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while self.transfers[transfer]["state"] == "running" and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.transfers[transfer]

    def cancelTransfer(self, transfer: str) -> bool:
        self.transfers[transfer]["state"] = "cancelled"
        return True
