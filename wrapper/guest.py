"""One VM of the job, as a task sees it: there, running, reachable, with files in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from job_xml import model
from wrapper.errand import Steps
from wrapper.job_vms import JobVMs
from wrapper.remote import Code, Refused
from wrapper.task import Place

#: Seconds for one question that waits for something to happen.
QUESTION = 1.0
#: How long a VM may be on its way from one state to another, and a guest on its way to its HELLO.
STATE_QUESTIONS = 300
GUEST_QUESTION, GUEST_QUESTIONS = 5.0, 60

_AT_REST = ("PoweredOff", "Saved", "Aborted")


class Guest:
    """``name`` is the VM's name on this host, ``label`` what the job calls it."""

    def __init__(self, vm: model.VirtualMachine, vms: JobVMs, place: Place) -> None:
        self._vm = vm
        self._vms = vms
        self._place = place
        self.label = vm.label
        self.name = vms.name(vm.label)

    def call(self, method: str, *arguments: Any) -> Steps[Any]:
        """A method of the API whose first argument is the VM."""
        return (yield self._vms.remote.call(method, self.name, *arguments))

    # -- from nothing to an agent that listens

    def create(self) -> Steps[None]:
        """See to it that it exists, under our lease."""
        names = yield self._vms.remote.call("listVMs")
        if self.name in names:
            yield self._vms.remote.call("leaseVM", self._vms.lease_id, self.name)
            return
        self._place.events.say("create", f"creating the VM {self.label}", vm=self.name)
        self._vms.made(self.label)
        yield from self.call("createVM", self._image(), self._options())

    def _image(self) -> str:
        return str(self._place.path(self._vm.image)) if self._vm.image else ""

    def _options(self) -> dict[str, Any]:
        return {
            "group": self._vms.group,
            "memoryMB": self._vm.memory_mb,
            "cpus": self._vm.cpus or max(self._place.options.nthreads, 1),
            "network": self._vm.network,
            "emulation": self._vm.permit_emulation or not self._place.has_client,
            "lease": self._vms.lease_id,
        }

    def start(self) -> Steps[None]:
        """See to it that it runs."""
        for _ in range(STATE_QUESTIONS):
            state = yield from self.call("getState")
            if state == "Running":
                return
            if state == "Paused":
                yield from self.call("resume")
                return
            if state in _AT_REST:
                self._place.events.say("start", f"starting the VM {self.label}", vm=self.name, was=state)
                yield from self.call("start")
                return
            yield QUESTION
        raise Refused(Code.BAD_STATE, f"the VM {self.label} stays {state}")

    def await_agent(self) -> Steps[None]:
        """Wait until its agent listens; cut the power where it never does."""
        self._place.events.say("hello", f"waiting for the agent in {self.label}", vm=self.name)
        for _ in range(GUEST_QUESTIONS):
            if (yield from self.call("waitForVM", GUEST_QUESTION)):
                return
            yield from self.expect_running()
        yield from self.power_off()
        patience = GUEST_QUESTION * GUEST_QUESTIONS
        raise Refused(Code.GUEST_SILENT, f"the agent in {self.label} did not say HELLO within {patience:g} s")

    def expect_running(self) -> Steps[None]:
        """Refused when it does not run any more."""
        state = yield from self.call("getState")
        if state != "Running":
            raise Refused(Code.BAD_STATE, f"the VM {self.label} is {state}")

    def power_off(self) -> Steps[None]:
        """Cut the power, if it is on."""
        try:
            yield from self.call("powerOff")
        except Refused as refusal:
            if refusal.code != Code.BAD_STATE:
                raise

    # -- files

    def put(self, names: Sequence[tuple[str, str]]) -> Steps[None]:
        """Copy logical files of the host to paths in the VM, with the directories on their way."""
        directories = _directories(path for _, path in names)
        if directories:
            with tempfile.TemporaryDirectory(dir=self._place.slot) as empty:
                for directory in directories:
                    yield from self._transfer("put", empty, directory, directory)
        for logical, path in names:
            yield from self._transfer("put", str(self._place.path(logical)), path, logical)

    def get(self, names: Iterable[str]) -> Steps[None]:
        """Copy files of the VM to the logical files of the same name."""
        for name in names:
            destination = self._place.path(name)
            destination.parent.mkdir(parents=True, exist_ok=True)
            yield from self._transfer("get", name, str(destination), name)

    def _transfer(self, direction: str, source: str, destination: str, name: str) -> Steps[None]:
        transfer = yield self._vms.remote.call("startTransfer", direction, self.name, source, destination)
        told: dict[str, Any] = {"state": "running"}
        while told["state"] == "running":
            told = yield self._vms.remote.call("waitForTransfer", transfer, QUESTION)
        if told["state"] != "done":
            code = told["faultCode"] or Code.TRANSFER_FAILED
            raise Refused(code, f"{name} could not be copied: {told['error']}")

    def fetch_quietly(self, name: str) -> Steps[None]:
        """Copy a small file of the VM into the slot; it may not be there yet."""
        yield from self.call("cpFileFromVM", name, str(self._place.slot / name))


def _directories(paths: Iterable[str]) -> list[str]:
    """Every directory above one of the paths, each before those in it."""
    parents = [parent for path in paths for parent in PurePosixPath(path).parents]
    return sorted({str(parent) for parent in parents} - {"."})
