"""All processes of a machine share its fate, whoever looks and whoever does not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from unittest import mock

from tests.vmcontroller.hypervisors.common.programs import eventually
from tests.vmcontroller.hypervisors.process.case import OWNER, ProcessTestCase, S, spec
from vmcontroller.hypervisors.common import proc


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
        os.waitid(os.P_PID, self.agent(), os.WEXITED | os.WNOWAIT)
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
