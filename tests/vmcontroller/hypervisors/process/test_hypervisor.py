"""What the process hypervisor promises beyond the contract: private files, sentences, turns."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import time
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from tests.vmcontroller.hypervisors.common.programs import eventually
from tests.vmcontroller.hypervisors.process.case import OWNER, STAND_IN, ProcessTestCase, S, spec
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
from vmcontroller.hypervisors.common import files, proc
from vmcontroller.hypervisors.process import snapshots
from vmcontroller.hypervisors.process.hypervisor import ProcessHypervisor


class TestFiles(ProcessTestCase):
    """What lies on the disk."""

    async def test_private(self) -> None:
        """A machine's directory is its user's alone, and the secret stands in the seed and nowhere else."""
        await self.hypervisor.createVM(spec())
        self.assertEqual(stat.S_IMODE(self.home().path.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.home().seed.stat().st_mode), 0o600)
        self.assertEqual(json.loads(self.home().seed.read_text()), {"secret": "hush", "setClock": False})
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

    async def test_disk_full_at_save(self) -> None:
        """A machine that cannot be written down as Saved runs on, with its programs."""
        await self.running()
        members = {process.pid for process in self.tree().members()}
        with self.full_disk():
            await self.fails(DiskFull, self.hypervisor.saveState("vm-1"))
        self.assertIs(await self.state(), S.RUNNING)
        self.assertEqual({process.pid for process in self.tree().members()}, members)

    async def test_disk_full_at_snapshot(self) -> None:
        """A machine whose snapshot fails runs on, and has no snapshot."""
        await self.running()
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with mock.patch.object(snapshots.files, "copy", side_effect=error):
            await self.fails(DiskFull, self.hypervisor.takeSnapshot("vm-1", "s", ""))
        self.assertEqual(await self.hypervisor.listSnapshots("vm-1"), [])
        self.assertTrue(eventually(lambda: not any(process.stopped for process in self.tree().members())))


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
