"""The command that a VM task runs: the same one for a wrapper that was restarted, another for each attempt."""

from __future__ import annotations

from typing import Any

from job_xml import model
from wrapper import invocation
from wrapper.errand import Steps
from wrapper.guest import QUESTION, Guest
from wrapper.host_task import how_it_ended
from wrapper.invocation import Invocation
from wrapper.job_vms import JobVMs
from wrapper.remote import Code, Refused
from wrapper.task import CHILD_FAILED, Ending, Place
from wrapper.vm_memory import Memory
from wrapper.vm_outputs import PIECE, Outputs

LOST = ("lost", "rolledBack")


class VMCommand:
    """What the daemon calls a command is asked by an id that this wrapper and its successors always find."""

    def __init__(self, task: model.Task, guest: Guest, vms: JobVMs, place: Place) -> None:
        self._task = task
        self._guest = guest
        self._vms = vms
        self._options = place.options
        self._invocation: Invocation | None = None

    def prepare(self) -> None:
        """Make the command of the task's elements. job_xml.commandline.Unclosed."""
        self._invocation = invocation.in_vm(self._task, self._options)

    @property
    def id(self) -> str:
        """Made of the result, the task and the attempt."""
        memory = self._vms.memory or Memory()
        return f"{self._vms.hash}-{memory.task}-{memory.attempt}"

    @property
    def program(self) -> str:
        """What is run: a file that was copied in is found beside the command's working directory, not in PATH."""
        copied = self._task.vm is not None and self._task.vm.copy_app
        return f"./{self._task.program}" if copied and "/" not in self._task.program else self._task.program

    def is_known(self) -> Steps[bool]:
        """Whether it was asked for already."""
        try:
            yield self._vms.remote.call("getCmdDetails", self.id)
        except Refused as refusal:
            if refusal.code != Code.UNKNOWN_COMMAND:
                raise
            return False
        return True

    def run(self) -> Steps[None]:
        """Ask for it."""
        command = self._invocation
        assert command
        options = {"cmdId": self.id, "group": self._vms.group}
        environment = command.environment or {}
        arguments = [command.arguments, environment, command.directory, self._task.stdin_filename, options]
        yield from self._guest.call("runCmd", self.program, *arguments)

    def look(self) -> Steps[dict[str, Any]]:
        """How it is: state, outcome, resources, the lengths of its outputs (docs/reference/api.md, getCmdDetails)."""
        details = yield self._vms.remote.call("getCmdDetails", self.id)
        (part,) = details["parts"].values()
        return dict(part)

    def fetch_output(self, part: dict[str, Any], outputs: Outputs) -> Steps[None]:
        """Bring over what the daemon has and we have not."""
        for name, stream in outputs.streams.items():
            while stream.offset < part[name]:
                call = self._vms.remote.call("getCmdOutput", self.id, name, stream.offset, PIECE)
                data = yield call
                if not data:
                    break
                stream.write(data)

    def wait(self) -> Steps[None]:
        """Wait a second, or until it ends."""
        yield self._vms.remote.call("waitForCmd", self.id, QUESTION)

    def send(self, number: int) -> Steps[None]:
        """Send it a signal, if it is still there to take it."""
        try:
            yield self._vms.remote.call("signalCmd", self.id, number)
        except Refused as refusal:
            if refusal.code != Code.COMMAND_ENDED:
                raise

    def verdict(self, part: dict[str, Any]) -> Ending:
        """What its outcome means for the job."""
        where = f"{self._task.program} in the VM {self._guest.label}"
        value = int(part["exitCodeOrSignal"])
        if part["outcome"] == "exited":
            return Ending(CHILD_FAILED if value else 0, f"{where} {how_it_ended(value)}")
        if part["outcome"] == "signalled":
            return Ending(CHILD_FAILED, f"{where} {how_it_ended(-value)}")
        reason = f": {part['reason']}" if part["reason"] else ""
        return Ending(CHILD_FAILED, f"{where} {_IN_WORDS.get(part['outcome'], part['outcome'])}{reason}")


_IN_WORDS = {"timedOut": "took longer than its limit", "notStarted": "could not be started"}
#: SIGTERM and SIGKILL as the guest numbers them, whatever this host's system has.
ASK, INSIST = 15, 9
