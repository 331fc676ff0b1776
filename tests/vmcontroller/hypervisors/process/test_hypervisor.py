"""What the process hypervisor promises beyond the contract: private files, whole trees, sentences, no leftovers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.vmcontroller.hypervisors.process.programs import eventually
from vmcontroller.errors import (
    BadImage,
    BadRequest,
    BadState,
    DiskFull,
    HypervisorFailed,
    HypervisorMissing,
    StateDirectoryUnusable,
    UnknownVM,
    VMExists,
)
from vmcontroller.hypervisors.process import files, proc, snapshots, watch
from vmcontroller.hypervisors.process.hypervisor import ProcessHypervisor
from vmcontroller.hypervisors.process.record import Home, Running
from vmcontroller.hypervisors.process.tree import Tree
from vmcontroller.machine import MachineSpec, MachineState

STAND_IN = (sys.executable, "-m", "tests.contracts.stand_in_agent")
OWNER = "process-tests"
S = MachineState


def spec(number: int = 1, **changes: Any) -> MachineSpec:
    values = {"id": f"vm-{number}", "name": f"VM {number}", "group": "main", "seed": {"secret": "hush"}}
    return MachineSpec(**{**values, **changes})


class ProcessTestCase(TestCase):
    """One hypervisor with the stand-in agent; no process is left at the end."""

    timeout = 60

    async def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="vmc-"))
        self.addCleanup(files.remove, self.root)
        self.addCleanup(self.clean)
        self.made: list[ProcessHypervisor] = []
        self.hypervisor = await self.connected()

    async def connected(self, *mood: str) -> ProcessHypervisor:
        hypervisor = ProcessHypervisor(reactor, self.root, OWNER, (*STAND_IN, *mood))
        await hypervisor.connect()
        self.made.append(hypervisor)
        return hypervisor

    async def again(self, *mood: str) -> None:
        await self.hypervisor.disconnect(False)
        self.hypervisor = await self.connected(*mood)

    async def clean(self) -> None:
        for hypervisor in self.made:
            await hypervisor.disconnect(True)
        tree = Tree({"VMCONTROLLER_OWNER": OWNER})
        left = tree.members()
        tree.kill()
        self.assertEqual(left, [])

    async def running(self, number: int = 1) -> str:
        await self.hypervisor.createVM(spec(number))
        await self.hypervisor.start(f"vm-{number}")
        return f"vm-{number}"

    async def fails(self, error: type[Exception], call: Deferred[Any], *texts: str) -> None:
        failure = await self.assertFailure(call, error)
        for text in texts:
            self.assertIn(text, str(failure))

    async def state(self, vm: str = "vm-1") -> MachineState:
        return {machine.id: machine.state for machine in await self.hypervisor.machines()}[vm]

    async def until(self, state: MachineState) -> None:
        while await self.state() is not state:
            await deferLater(reactor, 0.01)

    def home(self, vm: str = "vm-1") -> Home:
        return Home(self.root / "vms" / vm)

    def agent(self) -> int:
        running = self.home().load().running
        assert running
        return running.pid

    def tree(self) -> Tree:
        return Tree({"VMCONTROLLER_OWNER": OWNER, "VMCONTROLLER_ID": "vm-1"})

    def stranger(self, **environment: str) -> subprocess.Popen[bytes]:
        """A process that is none of the agent's children."""
        process = subprocess.Popen(["sleep", "1000"], env=os.environ | environment, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def leftover(self) -> subprocess.Popen[bytes]:
        return self.stranger(VMCONTROLLER_OWNER=OWNER, VMCONTROLLER_ID="vm-1")


class TestFiles(ProcessTestCase):
    """What lies on the disk."""

    async def test_private(self) -> None:
        """A machine's directory is its user's alone, and the secret stands in the seed and nowhere else."""
        await self.hypervisor.createVM(spec())
        self.assertEqual(stat.S_IMODE(self.home().path.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.home().seed.stat().st_mode), 0o600)
        self.assertEqual(json.loads(self.home().seed.read_text()), {"secret": "hush"})
        self.assertNotIn("hush", (self.home().path / "machine.json").read_text())

    async def test_machine_json(self) -> None:
        """machine.json holds the spec and the owner's mark."""
        await self.hypervisor.createVM(spec(memory_mb=64, cpus=3, network=True))
        record = self.home().load()
        self.assertEqual((record.owner, record.memory_mb, record.cpus, record.network), (OWNER, 64, 3, True))

    async def test_image(self) -> None:
        """What is in the image is in the machine's files."""
        (self.root / "image").mkdir()
        (self.root / "image" / "run").touch()
        await self.hypervisor.createVM(spec(image=str(self.root / "image")))
        self.assertEqual(os.listdir(self.home().files), ["run"])

    async def test_bad_image_leaves_nothing(self) -> None:
        """A machine that cannot be filled leaves no file."""
        await self.fails(BadImage, self.hypervisor.createVM(spec(image="/dev/null")), "/dev/null")
        self.assertEqual(os.listdir(self.root / "vms"), [])

    async def test_id_that_leads_out(self) -> None:
        """An id is no path."""
        for vm in ("..", "a/b", "", "VM"):
            await self.fails(BadRequest, self.hypervisor.createVM(spec(id=vm)))
        self.assertEqual(os.listdir(self.root / "vms"), [])

    async def test_strange_directories_are_left_alone(self) -> None:
        """What bears another owner's mark, none, or a broken one is neither listed, nor swept, nor replaced."""
        await self.hypervisor.createVM(spec())
        foreign = self.home("foreign").path
        shutil.copytree(self.home().path, foreign)
        record = json.loads((foreign / "machine.json").read_text())
        (foreign / "machine.json").write_text(json.dumps({**record, "owner": "somebody", "id": "foreign"}))
        shutil.copytree(self.home().path, self.home("copied").path)
        self.home("torn").path.mkdir()
        (self.home("torn").path / "machine.json").write_text('{"owner": "pro')
        self.home("empty").path.mkdir()
        (self.root / "vms" / ".somebody-abc").mkdir()
        before = sorted(self.root.rglob("*"))
        await self.again()
        self.assertEqual([machine.id for machine in await self.hypervisor.machines()], ["vm-1"])
        for vm in ("foreign", "copied", "torn", "empty"):
            await self.fails(VMExists, self.hypervisor.createVM(spec(id=vm, name=vm)), "is not ours")
            await self.fails(UnknownVM, self.hypervisor.removeVM(vm))
        self.assertEqual(sorted(self.root.rglob("*")), before)

    async def test_leftovers_are_swept(self) -> None:
        """What a crash left half made or half removed is gone after connect."""
        await self.hypervisor.createVM(spec())
        for half in (f".{OWNER}-abc", "vm-1/.making-abc", "vm-1/snapshots/.making-abc"):
            (self.root / "vms" / half / "files").mkdir(parents=True)
        await self.again()
        self.assertEqual(list(self.root.rglob(".*")), [])

    async def test_removed_by_hand(self) -> None:
        """A machine whose directory somebody removed can still be removed, with its processes."""
        await self.running()
        shutil.rmtree(self.home().path)
        await self.hypervisor.removeVM("vm-1")
        self.assertEqual(await self.hypervisor.machines(), [])
        self.assertEqual(self.tree().members(), [])


class TestFailures(ProcessTestCase):
    """What goes wrong is told in a sentence and changes nothing."""

    async def test_agent_dies_at_once(self) -> None:
        """An agent that ends before it listens fails the start with its last words."""
        await self.again("--mood", "dies")
        await self.hypervisor.createVM(spec())
        await self.fails(HypervisorFailed, self.hypervisor.start("vm-1"), "the stand-in dies | as it was told to")
        self.assertIs(await self.state(), S.POWERED_OFF)

    async def test_agent_is_silent(self) -> None:
        """An agent that never says where it listens is ended, with all that it started."""
        self.hypervisor = ProcessHypervisor(reactor, self.root, OWNER, (*STAND_IN, "--mood", "silent"), patience=0.3)
        self.made.append(self.hypervisor)
        await self.hypervisor.connect()
        await self.hypervisor.createVM(spec())
        leftover = self.leftover()
        await self.fails(HypervisorFailed, self.hypervisor.start("vm-1"), "opened no ports", "0.3 s")
        self.assertIsNotNone(leftover.wait(5))
        self.assertEqual(self.tree().members(), [])

    async def test_no_interpreter(self) -> None:
        """A command that does not exist is named."""
        self.hypervisor = ProcessHypervisor(reactor, self.root, OWNER, ["/no/python"])
        await self.hypervisor.connect()
        await self.hypervisor.createVM(spec())
        await self.fails(HypervisorFailed, self.hypervisor.start("vm-1"), "is /no/python installed?")
        self.assertIs(await self.state(), S.POWERED_OFF)

    async def test_not_linux(self) -> None:
        """Where there is no /proc, connect says so."""
        self.patch(proc, "available", lambda: False)
        await self.fails(HypervisorMissing, ProcessHypervisor(reactor, self.root, OWNER, STAND_IN).connect(), "Linux")

    async def test_read_only_directory(self) -> None:
        """A state directory that cannot be written is named, and what to do."""
        folder = self.root / "closed"
        folder.mkdir(0o555)
        if os.geteuid() == 0:  # Root may write anywhere: be somebody else for a moment.
            self.root.chmod(0o755)
            self.addCleanup(os.seteuid, 0)
            os.seteuid(65534)
        hypervisor = ProcessHypervisor(reactor, folder, OWNER, STAND_IN)
        await self.fails(StateDirectoryUnusable, hypervisor.connect(), str(folder), "make it writable")

    async def test_no_directory(self) -> None:
        """So is one that is a file."""
        (self.root / "file").touch()
        hypervisor = ProcessHypervisor(reactor, self.root / "file", OWNER, STAND_IN)
        await self.fails(HypervisorFailed, hypervisor.connect(), "Not a directory")

    def full_disk(self) -> Any:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file")
        return mock.patch.object(files, "write", side_effect=error)

    async def test_disk_full_at_creation(self) -> None:
        """Without room no machine is made, and nothing is left of it."""
        with self.full_disk():
            await self.fails(DiskFull, self.hypervisor.createVM(spec()), "/some/file", "free some")
        self.assertEqual(os.listdir(self.root / "vms"), [])
        await self.hypervisor.createVM(spec())

    async def test_disk_full_at_start(self) -> None:
        """A machine that cannot be written down as Running does not run."""
        await self.hypervisor.createVM(spec())
        with self.full_disk():
            await self.fails(DiskFull, self.hypervisor.start("vm-1"))
        self.assertIs(await self.state(), S.POWERED_OFF)
        self.assertEqual(self.tree().members(), [])

    async def test_disk_full_at_pause(self) -> None:
        """A machine that cannot be written down as Paused runs on."""
        await self.running()
        with self.full_disk():
            await self.fails(DiskFull, self.hypervisor.pause("vm-1"))
        self.assertIs(await self.state(), S.RUNNING)
        self.assertFalse(any(process.stopped for process in self.tree().members()))

    async def test_disk_full_at_snapshot(self) -> None:
        """A machine whose snapshot fails runs on, and has no snapshot."""
        await self.running()
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with mock.patch.object(snapshots.files, "copy", side_effect=error):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot("vm-1", "s", ""))
        self.assertEqual(await self.hypervisor.listSnapshots("vm-1"), [])
        self.assertTrue(eventually(lambda: not any(process.stopped for process in self.tree().members())))


class TestTrees(ProcessTestCase):
    """All processes of a machine share its fate."""

    async def test_environment(self) -> None:
        """An agent bears the marks of its machine and knows nothing of the daemon's own settings."""
        with mock.patch.dict(os.environ, VMCONTROLLER_BROKER_PASSCODE="secret"):
            await self.running()
        environment = Path(f"/proc/{self.agent()}/environ").read_text().split("\0")
        ours = sorted(entry for entry in environment if entry.startswith("VMCONTROLLER_"))
        self.assertEqual(ours, ["VMCONTROLLER_ID=vm-1", f"VMCONTROLLER_OWNER={OWNER}"])

    async def test_session(self) -> None:
        """An agent lives in a session of its own: no signal to the daemon's group reaches it."""
        await self.running()
        self.assertEqual(os.getsid(self.agent()), self.agent())

    async def test_files_of_the_guest_are_not_imported(self) -> None:
        """A file that is named like a module and lies in the served directory does no harm."""
        await self.hypervisor.createVM(spec())
        (self.home().files / "json.py").write_text("raise SystemExit('imported')")
        await self.hypervisor.start("vm-1")

    async def test_pause_reaches_leftovers(self) -> None:
        """A pause stops a process that left the agent, and the end of the pause lets it go on."""
        await self.running()
        leftover = self.leftover()
        await self.hypervisor.pause("vm-1")
        self.assertEqual(proc.read(leftover.pid).state, "T")
        await self.hypervisor.resume("vm-1")
        self.assertTrue(eventually(lambda: proc.read(leftover.pid).state == "S"))

    async def test_pause_respects_what_was_stopped(self) -> None:
        """What was stopped before a pause is stopped after it, also when another daemon ends it."""
        await self.running()
        leftover = self.leftover()
        leftover.send_signal(signal.SIGSTOP)
        self.assertTrue(eventually(lambda: proc.read(leftover.pid).state == "T"))
        await self.hypervisor.pause("vm-1")
        await self.again()
        await self.hypervisor.resume("vm-1")
        self.assertEqual(proc.read(leftover.pid).state, "T")

    async def test_deaf_agent(self) -> None:
        """An agent that ignores the power button runs on until its power is cut."""
        await self.again("--mood", "deaf")
        await self.running()
        await self.hypervisor.shutdown("vm-1")
        await self.hypervisor.powerOff("vm-1")
        self.assertIs(await self.state(), S.POWERED_OFF)

    async def test_button_is_remembered(self) -> None:
        """A machine that ends at its button's press while no daemon looks is PoweredOff, not Aborted."""
        await self.running()
        pid = self.agent()
        os.kill(pid, signal.SIGSTOP)
        await self.hypervisor.shutdown("vm-1")
        await self.hypervisor.disconnect(False)
        os.kill(pid, signal.SIGCONT)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.hypervisor = await self.connected()
        self.assertIs(await self.state(), S.POWERED_OFF)

    async def test_leftovers_end_with_the_agent(self) -> None:
        """When an agent is killed its processes are ended at once, and it becomes no zombie of ours."""
        await self.running()
        pid, leftover = self.agent(), self.leftover()
        os.kill(pid, signal.SIGKILL)
        await self.until(S.ABORTED)
        self.assertIsNotNone(leftover.wait(5))
        self.assertIsNone(proc.read(pid))

    async def test_leftovers_of_another_day(self) -> None:
        """Processes that a machine left behind while no daemon looked are ended at connect."""
        await self.running()
        await self.hypervisor.disconnect(False)
        os.kill(self.agent(), signal.SIGKILL)
        leftover, stranger = self.leftover(), self.stranger(VMCONTROLLER_OWNER="somebody", VMCONTROLLER_ID="vm-1")
        self.hypervisor = await self.connected()
        self.assertIsNotNone(leftover.wait(5))
        self.assertIsNone(stranger.poll())

    async def test_reused_process_id(self) -> None:
        """A stranger that got the process id of an agent is not taken for it, and not touched."""
        await self.running()
        await self.hypervisor.disconnect(False)
        stranger = self.stranger()
        record = json.loads((self.home().path / "machine.json").read_text())
        os.kill(record["running"]["pid"], signal.SIGKILL)
        record["running"]["pid"] = stranger.pid
        (self.home().path / "machine.json").write_text(json.dumps(record))
        self.hypervisor = await self.connected()
        self.assertIs(await self.state(), S.ABORTED)
        self.assertIsNone(stranger.poll())

    async def test_start_that_nobody_wrote_down(self) -> None:
        """An agent whose start the last daemon could not write down is ended at connect."""
        await self.running()
        await self.hypervisor.disconnect(False)
        record = json.loads((self.home().path / "machine.json").read_text())
        (self.home().path / "machine.json").write_text(json.dumps({**record, "state": "PoweredOff", "running": None}))
        self.hypervisor = await self.connected()
        self.assertIs(await self.state(), S.POWERED_OFF)
        self.assertEqual(self.tree().members(), [])
        os.waitpid(record["running"]["pid"], 0)

    async def test_crash_in_a_snapshot(self) -> None:
        """A machine that was frozen for a snapshot when the daemon was killed goes on at connect."""
        await self.running()
        await self.hypervisor.disconnect(False)
        record = json.loads((self.home().path / "machine.json").read_text())
        (self.home().path / "machine.json").write_text(json.dumps({**record, "held": []}))
        self.tree().freeze()
        self.hypervisor = await self.connected()
        self.assertIs(await self.state(), S.RUNNING)
        self.assertTrue(eventually(lambda: proc.read(self.agent()).state == "S"))
        self.assertIsNone(self.home().load().held)

    async def test_crash_in_a_pause(self) -> None:
        """A machine that was written down as Paused but was not frozen yet is frozen at connect."""
        await self.running()
        await self.hypervisor.disconnect(False)
        record = json.loads((self.home().path / "machine.json").read_text())
        (self.home().path / "machine.json").write_text(json.dumps({**record, "state": "Paused", "held": []}))
        self.hypervisor = await self.connected()
        self.assertIs(await self.state(), S.PAUSED)
        self.assertEqual(proc.read(self.agent()).state, "T")


class TestTurns(ProcessTestCase):
    """Verbs wait for each other."""

    async def test_disconnect_waits_for_a_start(self) -> None:
        """A start that is under way when the daemon leaves with stop is completed, then put away."""
        await self.hypervisor.createVM(spec())
        starting = self.hypervisor.start("vm-1")
        await self.hypervisor.disconnect(True)
        await starting
        self.assertEqual(self.tree().members(), [])
        self.assertIs(self.home().load().state, S.SAVED)

    async def test_removed_before_its_turn(self) -> None:
        """A verb whose machine was removed while it waited fails with UnknownVM."""
        await self.hypervisor.createVM(spec())
        removing, starting = self.hypervisor.removeVM("vm-1"), self.hypervisor.start("vm-1")
        await self.fails(UnknownVM, starting)
        await removing

    async def test_state_while_under_way(self) -> None:
        """While a verb is under way the machine shows it."""
        await self.hypervisor.createVM(spec())
        for verb, meanwhile in [("start", S.STARTING), ("saveState", S.SAVING), ("discardState", S.DISCARDING)]:
            done = getattr(self.hypervisor, verb)("vm-1")
            self.assertIs(await self.state(), meanwhile)
            await done

    async def test_bad_state_says_what_would_do(self) -> None:
        """A refusal names the machine, its state and the states that would allow it."""
        await self.hypervisor.createVM(spec())
        await self.fails(BadState, self.hypervisor.resume("vm-1"), "resume: the VM 'VM 1' is PoweredOff", "is Paused")

    async def test_fifty(self) -> None:
        """Fifty machines start at once, each is reached, and all are ended at once."""
        await gatherResults([self.hypervisor.createVM(spec(number)) for number in range(50)])
        before = time.monotonic()
        await gatherResults([self.hypervisor.start(f"vm-{number}") for number in range(50)])
        self.assertLess(time.monotonic() - before, 30)
        addresses = [await self.hypervisor.guestAddress(f"vm-{number}") for number in range(50)]
        self.assertEqual(len({address.door_port for address in addresses}), 50)


class TestWatch(TestCase):
    """The end of an agent is noticed in both ways."""

    timeout = 30

    def agent(self) -> tuple[subprocess.Popen[bytes], Running]:
        process = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        born = proc.read(process.pid)
        return process, Running(process.pid, born.started, proc.boot_id(), 1, 2)

    async def test_pidfd(self) -> None:
        """Through a pidfd."""
        process, running = self.agent()
        ended: Deferred[None] = Deferred()
        watch.watch(reactor, running, lambda: ended.callback(None))
        process.kill()
        await ended

    async def test_polling(self) -> None:
        """By looking now and then where there is no pidfd."""
        process, running = self.agent()
        self.patch(os, "pidfd_open", mock.Mock(side_effect=OSError(errno.ENOSYS, "Function not implemented")))
        ended: Deferred[None] = Deferred()
        watch.watch(reactor, running, lambda: ended.callback(None))
        process.kill()
        await ended

    async def test_ended_before(self) -> None:
        """An agent that has ended already is noticed later, not at once."""
        process, running = self.agent()
        process.kill()
        process.wait()
        ended: Deferred[None] = Deferred()
        watch.watch(reactor, running, lambda: ended.callback(None))
        self.assertFalse(ended.called)
        await ended

    def test_stopped_watch(self) -> None:
        """A watch that was stopped leaves neither reader nor call behind, stopped once or twice."""
        for patched in (False, True):
            if patched:
                self.patch(os, "pidfd_open", mock.Mock(side_effect=OSError))
            _, running = self.agent()
            stop = watch.watch(reactor, running, self.fail)
            stop()
            stop()
        self.assertFalse([reader for reader in reactor.getReaders() if isinstance(reader, watch._Pidfd)])
