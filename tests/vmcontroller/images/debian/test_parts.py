"""The smaller parts of a build, each by itself; tests/vm does a whole one."""

from __future__ import annotations

import ast
import gzip
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.vmcontroller.images.debian.elf import module
from vmcontroller.errors import BadRequest, BuildFailed, DiskFull
from vmcontroller.images.debian import Order, build, disk, initrd, packages, payload, sources, tools
from vmcontroller.images.debian.kernel import Kernel, Module
from vmcontroller.images.debian.tree import Owned, Tree
from vmcontroller.images.disklayout import Layout, read

TARGETS = """\
http://one.example/debian/ bookworm main
http://one.example/debian/ bookworm non-free
http://one.example/debian/ bookworm-updates main
http://two.example/debian-security/ bookworm-security main
http://three.example/repo nodistro main
http://one.example/debian/ bookworm main
"""


def test_sources() -> None:
    """Debian 12, its updates and its security updates, each once, and nobody else's packages."""
    assert sources.chosen(TARGETS) == (
        "deb http://one.example/debian/ bookworm main",
        "deb http://one.example/debian/ bookworm-updates main",
        "deb http://two.example/debian-security/ bookworm-security main",
    )
    assert sources.chosen("http://one.example/ubuntu jammy main\n") == ()


def test_no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that is no Debian 12 is told what to say."""
    monkeypatch.setattr(tools, "run", lambda command: subprocess.CompletedProcess(command, 0, "", ""))
    with pytest.raises(BuildFailed, match="--mirror"):
        sources.system()


def test_missing_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All that is missing is named at once, as packages, and nothing was begun."""
    monkeypatch.setattr(shutil, "which", lambda program, path: None if program in ("mcopy", "mmdebstrap") else program)
    with pytest.raises(BuildFailed, match="apt install mmdebstrap mtools"):
        build(Order(), tmp_path, print)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1023, 2**40])
def test_disk_size(tmp_path: Path, size: int) -> None:
    """A disk that could not be made is refused before anything is done."""
    with pytest.raises(BadRequest, match="disk's size"):
        build(Order(disk_mb=size), tmp_path, print)


def test_failures() -> None:
    """A program's own words are told; a full disk is known."""
    assert isinstance(tools.failed(["mke2fs"], "mke2fs: No space left on device"), DiskFull)
    with pytest.raises(BuildFailed, match="sh failed; it said: so it is"):
        tools.run(["sh", "-c", "echo so it is >&2; exit 3"])
    with pytest.raises(BuildFailed, match=r"it said: E: no such package\Z"):
        tools.follow(["sh", "-c", "echo I: one; echo E: no such package; echo I: two; exit 1"], lambda line: None)
    said = "echo E: the cause; echo E: what it led to; echo E: the whole command line; exit 1"
    with pytest.raises(BuildFailed, match=r"it said: E: the cause E: what it led to\Z"):
        tools.follow(["sh", "-c", said], lambda line: None)
    with pytest.raises(DiskFull):
        tools.follow(["sh", "-c", "echo dpkg: No space left on device; echo E: 1; exit 1"], lambda line: None)


def test_payload(tmp_path: Path) -> None:
    """Every module of ours that the agent imports is taken along, and nothing of the host's."""
    payload.write(tmp_path / "agent.tar")
    with tarfile.open(tmp_path / "agent.tar") as archive:
        names = {member.name.removeprefix("./"): member for member in archive}
        here = {name for name in names if name.endswith(".py")}
        for name in here:
            reader = archive.extractfile(names[name])
            assert reader is not None
            for node in ast.walk(ast.parse(reader.read())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vmcontroller"):
                    path = f"usr/lib/vmcontroller/{(node.module or '').replace('.', '/')}"
                    assert {f"{path}.py", f"{path}/__init__.py"} & here, f"{name} imports {node.module}"
    assert not any("service.py" in name and "vmcontroller_guest" not in name for name in here)
    assert all(names[name].mode == 0o755 for name in ("usr/lib/vmcontroller/init", "usr/local/sbin/vmcontroller-guest"))


@pytest.mark.parametrize("name", ["init", "initrd-init", "dhcp", "vmcontroller-guest"])
def test_scripts(name: str) -> None:
    """The guest's scripts are shell."""
    shell = shutil.which("busybox") or shutil.which("dash")
    if not shell:
        pytest.skip("needs busybox (Debian package busybox-static) or dash")
    command = [shell, "sh", "-n"] if shell.endswith("busybox") else [shell, "-n"]
    assert subprocess.run(command, input=payload.script(name), capture_output=True, check=False).stderr == b""


def test_initrd(tmp_path: Path) -> None:
    """The archive is cpio's, the same each time, and starts with what the kernel looks for."""
    linux = Kernel("6.1", b"", {"ext4": Module(module("depends="), (), ())})
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(initrd.build(linux, b"busybox", tmp_path / name))
    assert made[0] == made[1]
    if not shutil.which("cpio"):
        pytest.skip("needs cpio (Debian package cpio)")
    listed = subprocess.run(["cpio", "-t"], input=gzip.decompress(made[0]), capture_output=True, check=True)
    found = listed.stdout.decode().split()
    assert {"init", "bin/sh", "bin/busybox", "lib/modules/6.1/ext4.ko", "lib/modules/6.1/modules.dep"} <= set(found)
    assert found.index("lib") < found.index("lib/modules")


def test_packages(tmp_path: Path) -> None:
    """What apt tells of a package leads to its file, and that to its date."""
    told = packages.fields("Package: a\nVersion: 1:2.3-4\nArchitecture: amd64\nDescription: one\n two\n")
    (tmp_path / "a_1%3a2.3-4_amd64.deb").write_bytes(
        b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n"
    )
    assert packages.youngest([told], tmp_path / "none.deb", tmp_path) == 1_700_000_000


def test_order() -> None:
    """A package that is there anyway is not asked for twice."""
    assert Order(include=("python3", "autodock-vina")).packages[-1] == "autodock-vina"
    assert Order(include=("python3",)).packages == Order().packages


def test_disk(tmp_path: Path) -> None:
    """A BIOS can boot it; files have the owners that were told; made twice it is the same, octet for octet."""
    needed = {"mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "mformat": "mtools", "syslinux": "syslinux"}
    missing = [package for program, package in needed.items() if tools.find(program) == program]
    if missing or not tools.MBR.exists():
        pytest.skip(f"needs {', '.join(missing or ['syslinux-common'])} (Debian packages)")
    for name in ("one", "two"):
        home = tmp_path / name
        (home / "tree" / "etc").mkdir(parents=True)
        (home / "tree" / "etc" / "a file").write_text("text")
        (home / "boot").mkdir()
        (home / "boot" / "syslinux.cfg").write_text("DEFAULT guest\n")
        tree = Tree(home / "tree", 1_700_000_000, {"etc/a file": Owned(7, 42, 0o4640, 1_600_000_000)})
        disk.write(home / "disk.raw", 1024, home / "boot", tree, 1_700_000_000)
    one, two = tmp_path / "one" / "disk.raw", tmp_path / "two" / "disk.raw"
    assert subprocess.run(["cmp", one, two], check=False).returncode == 0
    with one.open("rb") as file:
        assert read(file) == Layout(True, (disk.BOOT_AT, disk.ROOT_AT))
    asked = ['stat "/etc/a file"', 'cat "/etc/a file"']
    told = "".join(tools.run(["debugfs", "-R", each, f"{one}?offset={disk.ROOT_AT}"]).stdout for each in asked)
    assert all(part in told for part in ("Mode:  04640", "User:     7", "Group:    42", "mtime: 0x5f5e1000", "text"))
    assert tools.run(["mdir", "-b", "-i", f"{one}@@{disk.BOOT_AT}"]).stdout.split() == ["::/syslinux.cfg"]
