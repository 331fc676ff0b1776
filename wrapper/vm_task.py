"""A task that runs in a VM: made, started, filled, run, watched, emptied, and begun again where it was lost.

    open ─► create ─► start ─► hello ─► copyIn ─► run ─► watch ─► copyOut ─► ended
     ▲         (each phase asks first how things stand)     │
     └─────────── trouble: from the top ◄──────────────────┤
     └─────────── lost: back to the checkpoint, then ◄──────┘

So the whole can begin at the top after anything: a restart of the wrapper, a daemon that went away, a VM that was
saved when nobody renewed its lease. What never stops happening is counted, and ends the job.
"""

from __future__ import annotations

import os
from typing import Any

from job_xml import model
from job_xml.commandline import Unclosed
from wrapper.boinc import Stop
from wrapper.errand import Errand, Steps
from wrapper.guest import Guest
from wrapper.job_vms import JobVMs
from wrapper.remote import Code, Refused
from wrapper.task import CHILD_FAILED, COPY_FAILED, FAILED, TIMED_OUT, VM_FAILED, Ending, Place, Stopwatch
from wrapper.vm_command import ASK, INSIST, LOST, VMCommand
from wrapper.vm_memory import Memory
from wrapper.vm_outputs import STREAMS, Outputs
from wrapper.vm_snapshots import Snapshots
from wrapper.watching import fraction_in

#: Seconds between two looks at the fraction done, and at the VM itself.
FRACTION_INTERVAL = 3.0
STATE_INTERVAL = 3.0
#: Losses in a row without progress, and troubles in a row, that end the job; CPU seconds that count as progress.
MOST_FRUITLESS = 10
MOST_TROUBLES = 10
PROGRESS = 1.0
LONGEST_PAUSE = 30.0
#: Seconds between SIGTERM and SIGKILL to a program whose time limit is over.
GRACE = 10.0

#: Some troubles are not worth as many tries: each takes minutes, or is hardly ever cured by time.
_PATIENCE: dict[int, int] = {
    Code.HYPERVISOR_FAILED: 3,
    Code.GUEST_SILENT: 3,
    Code.DISK_FULL: 3,
    Code.TRANSFER_FAILED: 5,
}
#: What time does not cure, and the exit code for it.
_FINAL: dict[int, int] = {
    Code.BAD_REQUEST: FAILED,
    Code.BAD_NAME: FAILED,
    Code.BAD_SIZE: FAILED,
    Code.NETWORK_DENIED: VM_FAILED,
    Code.NO_SUCH_FILE: COPY_FAILED,
    Code.FILE_DENIED: COPY_FAILED,
    Code.UNSUPPORTED: VM_FAILED,
    Code.UNKNOWN_HYPERVISOR: VM_FAILED,
    Code.HYPERVISOR_MISSING: VM_FAILED,
    Code.BROKEN_PLUGIN: VM_FAILED,
    Code.BAD_IMAGE: VM_FAILED,
    Code.NO_SUCH_IMAGE: VM_FAILED,
    Code.IMAGE_DENIED: VM_FAILED,
    Code.IMAGE_DAMAGED: VM_FAILED,
    Code.NETWORK_REFUSED: VM_FAILED,
    Code.EMULATION_REFUSED: VM_FAILED,
    Code.STATE_DIRECTORY_UNUSABLE: VM_FAILED,
    Code.PORT_TAKEN: VM_FAILED,
    Code.BAD_CONFIGURATION: VM_FAILED,
}
#: What the rest is called when it lasts.
_LASTING: dict[int, int] = {
    Code.TRANSFER_FAILED: COPY_FAILED,
    Code.HYPERVISOR_FAILED: VM_FAILED,
    Code.DISK_FULL: VM_FAILED,
}


class Lost(Exception):
    """The command's processes are gone, and nobody knows how they ended; the text says why."""


class VMTask:
    """One program in a VM. A Task (wrapper.task)."""

    def __init__(self, index: int, task: model.Task, vm: model.VirtualMachine, vms: JobVMs, place: Place) -> None:
        self._index = index
        self._task = task
        self._vm = vm
        self._vms = vms
        self._place = place
        self._guest = Guest(vm, vms, place)
        self._command = VMCommand(task, self._guest, vms, place)
        self._snapshots = Snapshots(task, self._guest, vms, place)
        self._outputs = Outputs(task, place, self._memory)
        self._errand = Errand(self._life(), place.clock)
        self._running = Stopwatch(place.clock)
        self._suspended = False
        self._paused = False
        self._stop: Stop | None = None
        self._troubles = 0
        self._over_time_since: float | None = None
        self._fraction_due = self._state_due = 0.0
        self.counted = self._memory.counted
        self.cpu = self.counted
        self._cpu_at_trouble = self.cpu
        self.ending: Ending | None = None

    @property
    def _memory(self) -> Memory:
        memory = self._vms.memory
        return memory if memory and memory.task == self._index else Memory()

    # -- what the loop does with it

    def start(self) -> None:
        """Nothing yet; the first step begins."""

    def step(self) -> None:
        """Go on with what is under way, if it may go on."""
        if self.ending or ((self._stop or self._suspended) and self._errand.is_calling):
            return
        if self._stop:
            self._errand.drop()
            self._let_go()
        elif self._suspended:
            self._pause()
        else:
            self._errand.step()
            self.ending = self._errand.ending

    def suspend(self) -> None:
        """Pause the VM as soon as the call that is under way is answered."""
        self._suspended = True
        self._running.halt()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._vms.remote.call("pause", self._guest.name)

    def resume(self) -> None:
        """Let the VM go on; should that fail, the next look at its state mends it."""
        self._suspended = False
        if self._paused:
            self._paused = False
            self._vms.remote.call("resume", self._guest.name)

    def stop(self, how: Stop) -> None:
        """Leave the VM as it is: it is saved or removed with the job's others."""
        self._stop = self._stop or how

    def hurry(self) -> None:
        """Nothing here has any grace: who removes the VM cuts its power."""

    def _let_go(self) -> None:
        if self._stop is Stop.QUIT and self._memory.task == self._index:
            self._vms.remember(sizes=self._outputs.sizes(), put_away=True)
        self.ending = Ending(0, f"{self._task.program} was stopped")

    def fraction(self) -> float:
        """What the file from the VM said last."""
        name = self._task.fraction_done_filename
        return fraction_in(self._place.slot / name) if name else 0.0

    def checkpointed(self) -> bool:
        """Whether a snapshot was taken."""
        return self._snapshots.taken

    # -- its life

    def _life(self) -> Steps[Ending]:
        while True:
            try:
                return (yield from self._course())
            except Lost as loss:
                ending = yield from self._go_back(str(loss))
            except Refused as refusal:
                if refusal.code == Code.SNAPSHOT_DAMAGED:
                    ending = yield from self._go_back(str(refusal), startable=False)
                else:
                    ending = yield from self._take_trouble(refusal)
            except Unclosed as error:
                ending = Ending(FAILED, f"{self._task.program}: {error}")
            if ending:
                return ending

    def _course(self) -> Steps[Ending]:
        self._command.prepare()
        missing = self._missing()
        if missing:
            return missing
        yield from self._vms.open()
        yield from self._vms.begin()
        if self._memory.task != self._index:
            self._begin()
        yield from self._guest.create()
        yield from self._guest.start()
        yield from self._guest.await_agent()
        if not (yield from self._command.is_known()):
            yield from self._copy_in()
            self._place.events.say("run", f"running {self._command.program} in the VM {self._vm.label}")
            yield from self._command.run()
        ending = yield from self._watch()
        if ending.good:
            yield from self._copy_out()
            yield from self._snapshots.delete_all()
        return ending

    def _begin(self) -> None:
        """This task has not been under way before."""
        if self._task.fraction_done_filename:
            (self._place.slot / self._task.fraction_done_filename).unlink(missing_ok=True)
        self._outputs.clear()
        zeros = dict.fromkeys(STREAMS, 0)
        self._vms.remember(
            task=self._index,
            attempt=0,
            fruitless=0,
            base=zeros,
            sizes=zeros,
            carried=0.0,
            counted=0.0,
            best=0.0,
            marks=(),
        )

    # -- files

    def _files_in(self) -> list[tuple[str, str]]:
        """Logical names on the host and where they go: the application, the files, the input."""
        app = [(self._task.application, self._task.program)] if self._vm.copy_app else []
        files = [(name, name) for name in self._vm.files_in]
        stdin = self._task.stdin_filename
        wanted = stdin and (self._vm.copy_stdin or self._place.path(stdin).exists())
        return list(dict.fromkeys([*app, *files, *([(stdin, stdin)] if wanted else [])]))

    def _missing(self) -> Ending | None:
        """Before anything is started: what cannot be copied in."""
        for name, _ in self._files_in():
            if not self._place.path(name).exists():
                return Ending(COPY_FAILED, f"{name}, which the VM {self._vm.label} is to get, is missing")
        app = self._task.application
        if self._vm.copy_app and not os.access(self._place.path(app), os.X_OK):
            return Ending(CHILD_FAILED, f"{app} is not executable; give it the mode 755 before it is copied into a VM")
        return None

    def _copy_in(self) -> Steps[None]:
        files = self._files_in()
        self._place.events.say("copyIn", f"copying {_count(len(files))} into {self._vm.label}", files=len(files))
        yield from self._guest.put(files)

    def _copy_out(self) -> Steps[None]:
        names = self._vm.files_out
        self._place.events.say("copyOut", f"copying {_count(len(names))} out of {self._vm.label}", files=len(names))
        yield from self._guest.get(names)

    # -- while it runs

    def _watch(self) -> Steps[Ending]:
        self._state_due = self._place.clock() + STATE_INTERVAL
        while True:
            self._running.go()
            part = yield from self._command.look()
            self._note_cpu(part["resources"])
            yield from self._command.fetch_output(part, self._outputs)
            if part["outcome"]:
                self._running.halt()
                return self._judge(part)
            yield from self._tend(part)
            yield from self._command.wait()

    def _judge(self, part: dict[str, Any]) -> Ending:
        if part["outcome"] in LOST:
            raise Lost(part["reason"].removesuffix(".") or "its processes are gone")
        if self._over_time_since is not None:
            return Ending(0, f"{self._task.program} reached its time limit of {self._task.time_limit:g} s")
        return self._command.verdict(part)

    def _note_cpu(self, resources: dict[str, float]) -> None:
        live = resources.get("ru_utime", 0.0) + resources.get("ru_stime", 0.0)
        self.cpu = max(self.cpu, self._memory.carried + live)
        if self.cpu > self._cpu_at_trouble + PROGRESS:
            self._troubles = 0

    def _tend(self, part: dict[str, Any]) -> Steps[None]:
        """Whatever is due beside the program itself."""
        now = self._place.clock()
        if self._memory.put_away:
            self._vms.remember(put_away=False)
        if not self._vms.is_leased:
            raise Refused(Code.UNKNOWN_LEASE, "the daemon has let our lease run out")
        if now >= self._state_due:
            self._state_due = now + STATE_INTERVAL
            yield from self._guest.expect_running()
        if self._task.fraction_done_filename and now >= self._fraction_due:
            self._fraction_due = now + FRACTION_INTERVAL
            yield from self._guest.fetch_quietly(self._task.fraction_done_filename)
        if self._snapshots.due(self._running.seconds):
            yield from self._snapshots.take(self._running.seconds, self._sizes_in(part), self.cpu)
        yield from self._limit_time()

    def _sizes_in(self, part: dict[str, Any]) -> dict[str, int]:
        """How much output a snapshot taken now holds for certain."""
        return {name: stream.base + part[name] for name, stream in self._outputs.streams.items()}

    def _limit_time(self) -> Steps[None]:
        if self._over_time_since is None and 0 < self._task.time_limit < self._running.seconds:
            self._over_time_since = self._place.clock()
            self._place.log(f"task {self._task.program} reached time limit {self._task.time_limit:.0f}")
            yield from self._command.send(ASK)
        elif self._over_time_since is not None and self._place.clock() > self._over_time_since + GRACE:
            yield from self._command.send(INSIST)

    # -- when things go wrong

    def _take_trouble(self, refusal: Refused) -> Steps[Ending | None]:
        """Wait a little and begin at the top, unless that is of no use."""
        self._running.halt()
        if refusal.code in _FINAL or refusal.code < 0:
            return Ending(_FINAL.get(refusal.code, FAILED), str(refusal))
        if refusal.code == Code.NOT_RUNNING:
            self._vms.disconnected()
        self._troubles += 1
        self._cpu_at_trouble = self.cpu
        if self._troubles >= _PATIENCE.get(refusal.code, MOST_TROUBLES):
            return Ending(_LASTING.get(refusal.code, TIMED_OUT), str(refusal))
        self._place.log(f"{refusal}; trying again")
        yield min(2.0 ** (self._troubles - 1), LONGEST_PAUSE)
        return None

    def _go_back(self, why: str, startable: bool = True) -> Steps[Ending | None]:
        """To the newest checkpoint, or to the start; the task has not failed.

        A VM that is not ``startable`` as it is, and has no checkpoint that is whole, is made anew.
        """
        fruitless = self._fruitless()
        memory = self._vms.remember(fruitless=fruitless, best=max(self.cpu, self._memory.best), put_away=False)
        if fruitless >= MOST_FRUITLESS:
            text = f"{self._task.program} was lost {fruitless} times in a row without progress: {why}"
            return Ending(CHILD_FAILED, text)
        try:
            restored = yield from self._snapshots.restore()
            if not (restored or startable):
                yield from self._guest.call("removeVM")
        except Refused as refusal:
            return (yield from self._take_trouble(refusal))
        sizes = restored.mark.sizes if restored else dict.fromkeys(STREAMS, 0)
        self._outputs.cut(sizes)
        where = f"goes on from its checkpoint {restored.mark.name}" if restored else "begins anew"
        if not (restored and restored.programs):
            carried = restored.mark.cpu if restored else 0.0
            self._outputs.start_at(sizes)
            marks = memory.marks if restored else ()
            self._vms.remember(attempt=memory.attempt + 1, base=sizes, sizes=sizes, carried=carried, marks=marks)
        self._place.events.say("lost", f"{self._task.program} was lost ({why}); it {where}")
        return None

    def _fruitless(self) -> int:
        """Losses in a row by now; where a hypervisor saves no programs, to be put away is none."""
        if self.cpu > self._memory.best + PROGRESS:
            return 0
        return self._memory.fruitless + (not self._memory.put_away)


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"
