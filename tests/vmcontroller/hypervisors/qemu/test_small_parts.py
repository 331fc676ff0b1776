"""Memory, the throttle, the verdict on acceleration, the search for QEMU."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from twisted.internet.task import Clock

from tests.vmcontroller.hypervisors.common.programs import eventually
from vmcontroller.errors import BadRequest, HypervisorFailed, HypervisorMissing, MemoryShort
from vmcontroller.hypervisors.common import proc
from vmcontroller.hypervisors.common.memory import OVERHEAD_MB, RESERVE_MB, available_mb
from vmcontroller.hypervisors.qemu import acceleration, emulator, memory, probe
from vmcontroller.hypervisors.qemu.acceleration import Acceleration, Verdict
from vmcontroller.hypervisors.qemu.emulator import Emulator
from vmcontroller.hypervisors.qemu.record import mac_address
from vmcontroller.hypervisors.qemu.throttle import ROUND, Throttle

needs_qemu = pytest.mark.skipif(not shutil.which(emulator.PROGRAM), reason="apt install qemu-system-x86")


class TestMemory:
    """It is asked before it is taken."""

    @pytest.mark.parametrize("size", [-1, 0, 15, 10 << 20, 1 << 60])
    def test_sizes(self, size: int) -> None:
        """No machine has no memory, or ten terabytes."""
        with pytest.raises(BadRequest, match="memoryMB"):
            memory.check_size(size)

    def test_short(self) -> None:
        """The sentence says how much is needed and how much is left."""
        memory.demand(16, [])
        with pytest.raises(MemoryShort, match=r"needs \d+ MiB.*and \d+ are left"):
            memory.demand(available_mb(), [])

    def test_promised(self) -> None:
        """What others were promised is not free before they have touched it."""
        half = available_mb() // 2
        memory.demand(half - OVERHEAD_MB - RESERVE_MB, [])
        for pid in (0, os.getpid()):
            with pytest.raises(MemoryShort):
                memory.demand(half - OVERHEAD_MB, [(half, pid)])

    def test_ended(self) -> None:
        """Who has ended has no memory."""
        with subprocess.Popen(["true"]) as process:
            process.wait()
        memory.demand(16, [(available_mb(), process.pid)])


class TestThrottle:
    """A process runs for its share of each round."""

    def test_rounds(self) -> None:
        """It runs and stands by turns, each for its share of a round."""
        clock, said = Clock(), []
        this = proc.read(os.getpid())
        with mock.patch.object(proc, "send", lambda process, number: said.append((number, round(clock.seconds(), 2)))):
            throttle = Throttle(clock, this, 30)
            clock.pump([ROUND / 100] * 208)
            throttle.release()
        go, stand = signal.SIGCONT, signal.SIGSTOP
        assert said == [(go, 0.0), (stand, 0.03), (go, 0.1), (stand, 0.13), (go, 0.2), (go, 0.21)]
        assert clock.getDelayedCalls() == []

    def test_stands(self) -> None:
        """A real process stands, and runs when it is released."""
        clock = Clock()
        with subprocess.Popen(["sleep", "100"]) as process:
            try:
                throttle = Throttle(clock, proc.read(process.pid), 50)
                clock.advance(ROUND / 2)
                assert eventually(lambda: proc.read(process.pid).stopped)
                throttle.release()
                assert eventually(lambda: not proc.read(process.pid).stopped)
            finally:
                process.kill()

    def test_end(self) -> None:
        """When the process has ended, it ends, too."""
        clock = Clock()
        with subprocess.Popen(["sleep", "100"]) as process:
            Throttle(clock, proc.read(process.pid), 50)
            process.kill()
            process.wait()
        clock.pump([ROUND / 2] * 3)
        assert clock.getDelayedCalls() == []


def test_mac_address() -> None:
    """Each VM of each owner has its own, and always the same."""
    found = {mac_address(owner, vm) for owner in ("one", "two") for vm in ("a", "b")}
    assert len(found) == 4
    assert mac_address("one", "a") in found
    assert all(address.startswith("52:54:00:") for address in found)


FAKE = Emulator("/nowhere/qemu", "7.2.22", "pc-q35-7.2", sandbox=False)


@pytest.fixture
def script(tmp_path: Path) -> Emulator:
    """A program in QEMU's place; the test writes what it does."""
    path = tmp_path / "qemu"
    path.write_text("#!/bin/sh\n")
    path.chmod(stat.S_IRWXU)
    return replace(FAKE, program=str(path))


class TestAcceleration:
    """What /dev/kvm promises is proven or not believed."""

    def test_absent(self, tmp_path: Path) -> None:
        """Without the device machines are emulated."""
        with mock.patch.object(acceleration, "_DEVICE", tmp_path / "kvm"):
            verdict = acceleration.judge(FAKE)
        assert verdict.accelerator == "tcg"
        assert "there is no" in verdict.why

    def test_no_virtualisation(self, tmp_path: Path) -> None:
        """A device without a processor that virtualises is not tried."""
        (tmp_path / "kvm").touch()
        (tmp_path / "cpuinfo").write_text("flags : fpu sse2")
        patches = {"_DEVICE": tmp_path / "kvm", "_CPUINFO": tmp_path / "cpuinfo"}
        with mock.patch.multiple(acceleration, **patches):
            assert "neither VT-x nor AMD-V" in acceleration.judge(FAKE).why

    def test_tried(self, tmp_path: Path, script: Emulator) -> None:
        """With both it is tried, and used when the test machine gets to its end."""
        (tmp_path / "kvm").touch()
        (tmp_path / "cpuinfo").write_text("flags : fpu vmx sse2")
        Path(script.program).write_text(f"#!/bin/sh\nexit {probe.REACHED}\n")
        patches = {"_DEVICE": tmp_path / "kvm", "_CPUINFO": tmp_path / "cpuinfo"}
        with mock.patch.multiple(acceleration, **patches):
            assert acceleration.judge(script).accelerator == "kvm"

    def test_failed(self, script: Emulator) -> None:
        """QEMU's own words are the reason."""
        Path(script.program).write_text("#!/bin/sh\necho KVM internal error >&2\nexit 1\n")
        verdict = acceleration.prove(script)
        assert verdict.accelerator == "tcg"
        assert "KVM internal error" in verdict.why

    def test_deadline(self, script: Emulator) -> None:
        """A test machine that does not get to its end in time proves nothing."""
        Path(script.program).write_text("#!/bin/sh\nexec sleep 100\n")
        verdict = acceleration.prove(script, deadline=0.2)
        assert verdict.accelerator == "tcg"
        assert "in 0.2 s" in verdict.why

    @needs_qemu
    def test_probe_runs(self, tmp_path: Path) -> None:
        """The test machine gets to its end where the processor is a good one: QEMU's own."""
        found = emulator.find()
        emulating = mock.patch.object(acceleration, "bare", return_value=("-display", "none", "-accel", "tcg"))
        with emulating, mock.patch.dict(acceleration.CPUS, kvm="Nehalem"):
            assert acceleration.prove(found).accelerator == "kvm"

    def test_kept(self, tmp_path: Path) -> None:
        """The verdict is kept until the host boots again or another QEMU is installed."""
        path = tmp_path / "qemu.json"
        verdicts = [Verdict("kvm", "first"), Verdict("tcg", "second"), Verdict("tcg", "third")]
        with mock.patch.object(acceleration, "judge", side_effect=verdicts) as judge:
            assert Acceleration(path).verdict(FAKE) == verdicts[0]
            assert Acceleration(path).verdict(FAKE) == verdicts[0]
            assert Acceleration(path).verdict(replace(FAKE, version="8.0.0")) == verdicts[1]
            with mock.patch.object(proc, "boot_id", return_value="another"):
                assert Acceleration(path).verdict(replace(FAKE, version="8.0.0")) == verdicts[2]
        assert judge.call_count == 3

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"of": 1}', "\0"])
    def test_damaged_verdict(self, tmp_path: Path, text: str) -> None:
        """A verdict that cannot be read is reached again."""
        (tmp_path / "qemu.json").write_text(text)
        with mock.patch.object(acceleration, "judge", return_value=Verdict("tcg", "so")):
            assert Acceleration(tmp_path / "qemu.json").verdict(FAKE).why == "so"

    def test_distrust(self, tmp_path: Path) -> None:
        """A machine that broke with KVM ends the trust in it."""
        Acceleration(tmp_path / "qemu.json").distrust(FAKE, "it broke")
        assert Acceleration(tmp_path / "qemu.json").verdict(FAKE) == Verdict("tcg", "it broke")


class TestEmulator:
    """QEMU is found, or the sentence says what to install."""

    def test_missing(self) -> None:
        """Without QEMU the packages are named."""
        with (
            mock.patch.object(shutil, "which", return_value=None),
            pytest.raises(HypervisorMissing, match="apt install"),
        ):
            emulator.find()

    @needs_qemu
    def test_found(self) -> None:
        """The machine type is one with a version, so that it means the same for ever."""
        found = emulator.find()
        assert found.board.startswith("pc-q35-")
        assert found.version[0].isdigit()

    @pytest.mark.parametrize(
        ("said", "error"),
        [
            ("echo nonsense", HypervisorFailed),
            ("echo it broke >&2; exit 1", HypervisorFailed),
            ("true", HypervisorFailed),
            (
                """echo '{"id": "query-version", "return": {"qemu": {"major": 4, "minor": 2, "micro": 1}}}'
echo '{"id": "query-machines", "return": [{"name": "pc-q35-4.2", "alias": "q35"}]}'""",
                HypervisorMissing,
            ),
        ],
    )
    def test_broken(self, script: Emulator, said: str, error: type[Exception]) -> None:
        """A QEMU that does not work or is too old is told of."""
        Path(script.program).write_text(f"#!/bin/sh\n{said}\n")
        with mock.patch.object(shutil, "which", return_value=script.program), pytest.raises(error):
            emulator.find()
