"""The verbs for VMs and snapshots against the real daemon, broker and agents, all on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loopback.operator import PATIENCE, Done, Operator, shell


class TestMachines:
    """The life of a VM."""

    def test_from_create_to_rm(self, vmc: Operator) -> None:
        """Each verb does what it says."""
        assert vmc("create", "m", "--memory", "64") == Done(0, b"m: PoweredOff\n", "")
        assert vmc("start", "m") == Done(0, b"m: Running\n", "")
        assert vmc("pause", "m").out == b"m: Paused\n"
        assert vmc("resume", "m").out == b"m: Running\n"
        assert vmc("save", "m").out == b"m: Saved\n"
        assert vmc("start", "m").out == b"m: Running\n"
        assert vmc("stop", "m").out == b"m: PoweredOff\n"
        assert vmc("start", "m").out == b"m: Running\n"
        assert vmc("stop", "--hard", "m").out == b"m: PoweredOff\n"
        assert vmc("rm", "m").out == b"m: removed\n"
        assert "m" not in [vm["name"] for vm in vmc("list", "--json").json]

    def test_image_beside_the_operator(self, vmc: Operator, tmp_path: Path) -> None:
        """A relative path counts from where the verb was typed, wherever the daemon is."""
        (tmp_path / "image").mkdir()
        (tmp_path / "image" / "greeting").write_text("hello")
        with vmc.begin("create", "i", "--image", "image", cwd=tmp_path) as process:
            assert process.communicate(timeout=PATIENCE)[0] == b"i: PoweredOff\n"
        assert vmc("start", "i").code == 0
        assert vmc("run", "i", "--", "cat", "greeting").out == b"hello"
        assert vmc("rm", "i").code == 0

    def test_a_snapshot_brings_files_back(self, vmc: Operator) -> None:
        """Taken, listed, restored and removed."""
        vmc("create", "s")
        vmc("start", "s")
        assert vmc("run", "s", *shell("echo old > f")).code == 0
        assert vmc("snapshot", "take", "s", "one", "--description", "the first").out == b"one\n"
        assert vmc("run", "s", *shell("echo new > f")).code == 0
        assert vmc("stop", "--hard", "s").code == 0
        assert vmc("snapshot", "restore", "s").out == b"s: PoweredOff\n"
        assert b"the first" in vmc("snapshot", "list", "s").out
        assert vmc("start", "s").code == 0
        assert vmc("run", "s", "--", "cat", "f").out == b"old\n"
        assert vmc("snapshot", "rm", "s", "one").code == 0
        assert vmc("snapshot", "list", "s").out == b""
        assert vmc("rm", "s").code == 0

    @pytest.mark.parametrize(
        "argv",
        [
            ["start", "nobody"],
            ["stop", "nobody"],
            ["pause", "nobody"],
            ["resume", "nobody"],
            ["save", "nobody"],
            ["rm", "nobody"],
            ["rm", "x-*"],
            ["snapshot", "take", "nobody"],
            ["snapshot", "restore", "nobody"],
            ["snapshot", "list", "nobody"],
            ["snapshot", "rm", "w1", "nothing"],
            ["snapshot", "restore", "w1", "nothing"],
            ["resume", "w1"],
            ["start", "w1"],
            ["create", "w1"],
            ["create", "a/b"],
            ["create", "x", "--memory", "-5"],
            ["create", "x", "--image", "/no/such/image"],
            ["call", "fly"],
            ["call", "getState"],
            ["call", "getState", "7"],
            ["call", "getCmdDetails", "x"],
            ["output", "x"],
        ],
    )
    def test_what_is_refused_is_one_sentence(self, vmc: Operator, argv: list[str]) -> None:
        """Nothing on stdout, exit code 1."""
        done = vmc.here(*argv)
        assert (done.code, done.out, done.err.count("\n")) == (1, b"", 1)
        assert done.err.startswith("vmcontroller: ")
        assert "fault of its own" not in done.err

    def test_tables(self, vmc: Operator) -> None:
        """What runs is in them."""
        with vmc.begin("run", "w1", *shell("echo ready; cat")) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            shown = vmc("status").out.decode()
            process.communicate()
        assert "hypervisor  process" in shown
        assert "echo ready; cat" in shown
        row = next(line for line in vmc("list").out.decode().splitlines() if line.startswith("w1"))
        assert row.split()[2:5] == ["default", "Running", "answers"]

    def test_doctor_is_content(self, vmc: Operator) -> None:
        """Everything that it looks at is there."""
        done = vmc("doctor")
        assert done.code == 0, done.out
        assert b"running VMs answer" in done.out
