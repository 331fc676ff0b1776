"""What the QEMU hypervisor promises beyond the contract: private, modest, isolated, and found again."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
from pathlib import Path
from unittest import mock

from twisted.internet.defer import Deferred, gatherResults

from tests.vmcontroller.hypervisors.qemu.case import VM, QemuTestCase, S, living
from tests.vmcontroller.hypervisors.qemu.damage import change, cut, full, remove
from vmcontroller.errors import (
    BadRequest,
    BadState,
    DiskFull,
    HypervisorFailed,
    MemoryShort,
    NetworkRefused,
    SnapshotDamaged,
)
from vmcontroller.hypervisors.common import files, proc
from vmcontroller.hypervisors.common.memory import available_mb
from vmcontroller.hypervisors.qemu import generations, life, migration, qmp
from vmcontroller.hypervisors.qemu.acceleration import Verdict


class TestMaking(QemuTestCase):
    """A machine is made wholly or not at all."""

    async def test_private(self) -> None:
        """All that belongs to a machine is its user's alone; the secret stands in the seed and nowhere else."""
        await self.running()
        self.assertEqual(stat.S_IMODE(self.home.path.stat().st_mode), 0o700)
        for path in (self.home.seed, self.home.socket, self.layers.path(1)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
        self.assertIn(b"hush", self.home.seed.read_bytes())
        self.assertNotIn(
            "hush", self.home.text() + self.environment() + Path(f"/proc/{self.pid()}/cmdline").read_text()
        )

    async def test_the_image_is_not_written_on(self) -> None:
        """Two machines of one image share it, and neither changes it."""
        before = self.image.read_bytes()
        await self.running()
        await self.hypervisor.createVM(self.spec(id="vm-2", name="VM 2"))
        await self.hypervisor.start("vm-2")
        await self.hypervisor.powerOff(VM)
        self.assertEqual(self.image.read_bytes(), before)

    async def test_progress(self) -> None:
        """Whoever has a machine made hears how far its image is read."""
        told: list[tuple[int, int]] = []
        await self.hypervisor.createVM(self.spec(progress=lambda done, total: told.append((done, total))))
        octets = self.image.stat().st_size
        self.assertEqual(told[-1], (octets, octets))

    async def test_bad_sizes(self) -> None:
        """Nonsense is refused with what is wrong, before anything is made."""
        for changes, word in [
            ({"memory_mb": 0}, "memoryMB"),
            ({"memory_mb": 10 << 20}, "memoryMB"),
            ({"cpus": 0}, "cpus"),
        ]:
            await self.fails(BadRequest, self.hypervisor.createVM(self.spec(**changes)), word)
        self.assertEqual(os.listdir(self.root / "qemu"), [])

    async def test_no_network(self) -> None:
        """A network is refused, with the reason."""
        await self.fails(NetworkRefused, self.hypervisor.createVM(self.spec(network=True)), "loopback")

    async def test_not_enough_memory(self) -> None:
        """A machine that does not fit is not started, and stays as it was."""
        await self.hypervisor.createVM(self.spec(memory_mb=available_mb()))
        await self.fails(MemoryShort, self.hypervisor.start(VM), "MiB")
        self.assertIs(await self.state(), S.POWERED_OFF)

    async def test_full_disk(self) -> None:
        """A machine that cannot be made for lack of room leaves nothing, not even a hold on the image."""
        with mock.patch.object(files, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.fails(DiskFull, self.hypervisor.createVM(self.spec()))
        self.assertEqual(os.listdir(self.root / "qemu"), [])
        users = self.root / "images" / "users"
        self.assertEqual(list(users.iterdir()) if users.exists() else [], [])

    async def test_long_state_directory(self) -> None:
        """The path may be longer than a Unix socket's address."""
        self.root = self.root / ("long" * 30) / ("longer" * 20)
        self.root.mkdir(parents=True)
        await self.hypervisor.disconnect(False)
        self.hypervisor = await self.connected()
        await self.running()
        await self.again()
        await self.assertRuns()

    async def test_image_gone(self) -> None:
        """Without its image a machine does not start, QEMU's words say why, and it can be started later."""
        await self.hypervisor.createVM(self.spec())
        self.image.rename(self.root / "elsewhere")
        await self.fails(HypervisorFailed, self.hypervisor.start(VM), "image.raw")
        self.assertIs(await self.state(), S.POWERED_OFF)
        (self.root / "elsewhere").rename(self.image)
        await self.hypervisor.start(VM)


class TestRunning(QemuTestCase):
    """A machine that runs."""

    async def test_modest(self) -> None:
        """QEMU runs in a session of its own, at the lowest priority of processor and disk."""
        await self.running()
        pid = self.pid()
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, pid), 19)
        self.assertNotIn("VMCONTROLLER_STATE_DIR", self.environment())

    async def test_loopback_alone(self) -> None:
        """The two ports listen on 127.0.0.1 and nowhere else."""
        await self.running()
        address = await self.hypervisor.guestAddress(VM)
        for port in (address.door_port, address.chirp_port):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.2", port), timeout=5)

    async def test_screenshot(self) -> None:
        """A machine that is off has no screen, one that is Paused has."""
        await self.hypervisor.createVM(self.spec())
        await self.fails(BadState, self.hypervisor.screenshot(VM))
        await self.hypervisor.start(VM)
        await self.hypervisor.pause(VM)
        self.assertTrue((await self.hypervisor.screenshot(VM)).startswith(b"\x89PNG"))
        self.assertFalse((self.home.path / "screen.png").exists())

    async def test_stats(self) -> None:
        """What it read from its disk is counted; a machine that is off uses nothing."""
        await self.hypervisor.createVM(self.spec())
        self.assertEqual(set((await self.hypervisor.getStats(VM)).values()), {0.0})
        await self.hypervisor.start(VM)
        while not (await self.hypervisor.getStats(VM))["diskReadBytes"]:
            pass  # It boots.

    async def test_cap_is_kept(self) -> None:
        """A share of the processors holds for the next start, and for the next daemon; QMP answers under it."""
        await self.hypervisor.createVM(self.spec())
        await self.hypervisor.setCpuCap(VM, 20)
        await self.hypervisor.start(VM)
        await self.again()
        self.assertEqual(self.home.load().cap, 20)
        self.assertIsNotNone(self.machine.life._throttle)
        await self.assertRuns()
        await self.hypervisor.setCpuCap(VM, 100)
        self.assertIsNone(self.machine.life._throttle)

    async def test_version(self) -> None:
        """The version says what machines are run with, and why."""
        verdict = await self.hypervisor.acceleration()
        self.assertIn(verdict.accelerator, ("tcg", "kvm"))
        self.assertRegex(await self.hypervisor.version(), rf"QEMU \d+\.\d+\.\d+, {verdict.accelerator}: .+")

    async def test_nothing_stays_open(self) -> None:
        """Start, save, restore and stop leave no file open in the daemon."""
        await self.running()
        await self.hypervisor.powerOff(VM)
        before = self.descriptors()
        for verb in ("start", "saveState", "start", "powerOff"):
            await getattr(self.hypervisor, verb)(VM)
        self.assertEqual(self.descriptors() - before, set())


class TestEnds(QemuTestCase):
    """However QEMU ends."""

    async def test_in_the_middle_of_a_verb(self) -> None:
        """A QEMU that dies in the middle of a verb makes the verb fail; the machine is Aborted and starts again."""
        for verb in ("pause", "reset", "saveState"):
            await (self.running() if verb == "pause" else self.hypervisor.start(VM))
            os.kill(self.pid(), signal.SIGSTOP)
            call = getattr(self.hypervisor, verb)(VM)
            os.kill(self.pid(), signal.SIGKILL)
            await self.fails(HypervisorFailed, call)
            await self.until(S.ABORTED)
        self.assertEqual(await self.debris(), [])
        await self.hypervisor.start(VM)

    async def test_during_a_snapshot(self) -> None:
        """A QEMU that dies while a snapshot is taken leaves none, and a machine that starts."""
        await self.running()
        os.kill(self.pid(), signal.SIGSTOP)
        call = self.hypervisor.takeSnapshot(VM, "s", "")
        os.kill(self.pid(), signal.SIGKILL)
        await self.fails(HypervisorFailed, call)
        await self.until(S.ABORTED)
        self.assertEqual(await self.hypervisor.listSnapshots(VM), [])
        await self.hypervisor.start(VM)
        await self.again()
        self.assertEqual(await self.debris(), [])

    async def test_hangs(self) -> None:
        """A QEMU that does nothing any more fails every verb in time, and can be switched off."""
        await self.running()
        hurry = [self.patch(module, "PATIENCE", 0.3) for module in (qmp, life)]
        os.kill(self.pid(), signal.SIGSTOP)
        for call in (
            self.hypervisor.pause(VM),
            self.hypervisor.takeSnapshot(VM, "s", ""),
            self.hypervisor.saveState(VM),
        ):
            await self.fails(HypervisorFailed, call, "did not answer")
        await self.hypervisor.powerOff(VM)
        self.assertIs(await self.state(), S.POWERED_OFF)
        for patch in hurry:
            patch.restore()
        await self.hypervisor.start(VM)
        await self.assertRuns()

    async def test_while_it_starts(self) -> None:
        """A QEMU that refuses its command line leaves its words and no process."""
        await self.hypervisor.createVM(self.spec())
        self.machine.record = await self.changed(board="pc-q35-99.9")
        await self.fails(HypervisorFailed, self.hypervisor.start(VM), "machine type")
        self.assertEqual(living(self.root), [])
        self.assertIs(await self.state(), S.POWERED_OFF)

    async def test_orphan(self) -> None:
        """A QEMU that a daemon started, and that it died before noting, is ended by the next one."""
        await self.running()
        pid = self.pid()
        await self.changed(running=None, state=S.POWERED_OFF)
        await self.again()
        self.assertIs(await self.state(), S.POWERED_OFF)
        self.assertTrue(proc.read(pid).ended)  # It was this process's child.
        os.waitpid(pid, 0)

    async def test_ten_in_a_row(self) -> None:
        """Ten machines come, run, are kept and go, and nothing is left of them."""
        open_before = self.descriptors()
        for _ in range(10):
            await self.running()
            await self.hypervisor.takeSnapshot(VM, "s", "")
            await self.hypervisor.removeVM(VM)
        self.assertEqual(os.listdir(self.root / "qemu"), [])
        self.assertEqual(list((self.root / "images" / "users").iterdir()), [])
        self.assertEqual(living(self.root), [])
        self.assertEqual(self.descriptors() - open_before, set())

    async def test_many_end_at_once(self) -> None:
        """disconnect(stop) puts all away at once."""
        for number in (1, 2, 3):
            await self.hypervisor.createVM(self.spec(id=f"vm-{number}", name=f"VM {number}"))
        await gatherResults([self.hypervisor.start(f"vm-{number}") for number in (1, 2, 3)])
        await self.hypervisor.disconnect(True)
        self.hypervisor = await self.connected()
        self.assertEqual({machine.state for machine in await self.hypervisor.machines()}, {S.SAVED})

    async def changed(self, **changes: object):  # type: ignore[no-untyped-def]
        """Write into the record behind the daemon's back."""
        await self.machine.note(**changes)
        return self.machine.record


class TestSuccession(QemuTestCase):
    """The daemon may die at any moment; the next one brings record and QEMU together."""

    async def test_died_before_the_guest_went_on(self) -> None:
        """What should run and stands still is let go on; what should stand still is stopped."""
        await self.running()
        await self.machine.life.monitor.execute("stop")
        await self.again()
        await self.assertRuns()
        await self.hypervisor.pause(VM)
        await self.machine.life.monitor.execute("cont")
        await self.again()
        self.assertEqual((await self.machine.life.monitor.execute("query-status"))["status"], "paused")

    async def test_died_while_it_was_held_still(self) -> None:
        """A QEMU that a throttle had stopped runs again."""
        await self.running()
        await self.hypervisor.disconnect(False)
        os.kill(self.pid(), signal.SIGSTOP)
        self.hypervisor = await self.connected()
        await self.assertRuns()

    async def test_died_before_the_disk_was_frozen(self) -> None:
        """A layer that the record names, and QEMU does not write on, is forgotten."""
        await self.running()
        upper = self.layers.add(self.machine.record.base, 1)
        await self.machine.note(layer=upper)
        await self.again()
        self.assertEqual(self.home.load().layer, 1)
        self.assertEqual(self.layers.numbers(), [1])
        await self.hypervisor.takeSnapshot(VM, "s", "")

    async def test_deaf(self) -> None:
        """A QEMU that talks to nobody is Stuck, can be switched off, and starts again."""
        await self.running()
        self.home.socket.unlink()
        await self.again()
        self.assertIs(await self.state(), S.STUCK)
        await self.hypervisor.powerOff(VM)
        await self.hypervisor.start(VM)

    async def test_internal_error(self) -> None:
        """A machine that KVM cannot go on with is Stuck, and KVM is not trusted again."""
        await self.running()
        running = self.machine.record.running
        await self.machine.note(running=type(running)(**{**vars(running), "accelerator": "kvm"}))
        await self.machine._look_at("internal-error")
        self.assertIs(await self.state(), S.STUCK)
        self.assertEqual(
            await self.hypervisor.acceleration(), Verdict("tcg", "a machine met an internal-error with it")
        )

    async def test_host_disk_full(self) -> None:
        """A machine that QEMU stopped for a full disk is Paused, and goes on when it is told to."""
        await self.running()
        await self.machine._look_at("io-error")
        self.assertIs(await self.state(), S.PAUSED)
        await self.hypervisor.resume(VM)
        await self.assertRuns()

    async def test_host_disk_full_to_the_last_octet(self) -> None:
        """It is Paused also if there is no room to write that down."""
        await self.running()
        with mock.patch.object(files, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.assertFailure(Deferred.fromCoroutine(self.machine._look_at("io-error")), OSError)
        self.assertIs(await self.state(), S.PAUSED)
        await self.hypervisor.resume(VM)
        await self.assertRuns()


class TestSaved(QemuTestCase):
    """Saved states."""

    async def test_full_disk(self) -> None:
        """A machine that cannot be saved for lack of room runs on."""
        await self.running()
        with mock.patch.object(migration, "new_file", full):
            await self.fails(DiskFull, self.hypervisor.saveState(VM))
        await self.assertRuns()
        self.assertEqual(await self.debris(), [])
        await self.hypervisor.saveState(VM)

    async def test_full_disk_at_the_end(self) -> None:
        """Also when the last octets have no room."""
        await self.running()
        with mock.patch.object(generations, "write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            await self.fails(DiskFull, self.hypervisor.saveState(VM))
        await self.assertRuns()
        self.assertEqual(await self.debris(), [])

    async def test_damaged(self) -> None:
        """A saved state that was changed is not used; without it the machine starts anew."""
        for damage in (cut, change, remove):
            await self.hypervisor.createVM(self.spec())
            await self.hypervisor.start(VM)
            await self.hypervisor.saveState(VM)
            damage(self.home.path / self.home.load().saved / "memory")
            await self.assertFailure(self.hypervisor.start(VM), SnapshotDamaged, HypervisorFailed)
            self.assertIs(await self.state(), S.SAVED)
            await self.hypervisor.discardState(VM)
            await self.hypervisor.start(VM)
            await self.hypervisor.removeVM(VM)

    async def test_used_state_is_removed(self) -> None:
        """What was used goes, whatever comes next: a verb that makes another one, or the next daemon."""
        await self.running()
        for _ in range(3):
            await self.hypervisor.saveState(VM)
            self.assertEqual(await self.debris(), [self.home.load().saved])
            await self.hypervisor.start(VM)
        with mock.patch.object(generations, "sweep"):
            await self.hypervisor.saveState(VM)
            await self.hypervisor.start(VM)
            self.assertNotEqual(await self.debris(), [])
        await self.again()
        self.assertEqual(await self.debris(), [])
        await self.assertRuns()

    async def test_unknown_manifest(self) -> None:
        """A state that another version saved is not used, and that is said."""
        await self.running()
        await self.hypervisor.saveState(VM)
        manifest = self.home.path / self.home.load().saved / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"sha256"', '"digest"'))
        await self.fails(SnapshotDamaged, self.hypervisor.start(VM), "holds no whole state", "digest")

    async def test_other_hardware(self) -> None:
        """A state that was saved with other hardware is not started: the guest would crash."""
        await self.running()
        await self.hypervisor.saveState(VM)
        await self.machine.note(cpus=2)
        await self.fails(SnapshotDamaged, self.hypervisor.start(VM), "cpus 1 (it is 2)")
