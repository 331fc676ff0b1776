"""Images that others made: what one lacks for VMs to be made from it, and the file by which it gets the agent.

It looks into the image without booting or mounting it; only into ext2, ext3 and ext4, which debugfs reads.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vmcontroller.errors import BadRequest
from vmcontroller.images import disklayout, manifest, ova, qemuimg
from vmcontroller.images.debian import payload
from vmcontroller.images.inspect import ImageFile, inspect
from vmcontroller.images.work import Work

LABEL = "cidata"
_ARCHIVE = "/var/tmp/vmcontroller-agent.tar.gz"
_UNIT = "/etc/systemd/system/vmcontroller-guest.service"
_OLDEST_MINOR = 11
_PACKAGES = ("python3-twisted", "python3-zope.interface", "python3-stomper", "python3-netifaces")
_BOOT_ONCE = "boot it once with the ISO image that --output DIR writes; docs/how-to/make-an-image.md tells how"
_EXT_MAGIC_AT, _EXT_MAGIC = 0x438, b"\x53\xef"


@dataclass(frozen=True)
class Finding:
    """One thing that an image has, or lacks; ``remedy`` is "" where nothing need be done."""

    ok: bool
    what: str
    remedy: str = ""

    def line(self) -> str:
        """As it is shown."""
        head = f"{'ok' if self.ok else 'lacks':<5} {self.what}"
        return f"{head}\n      -> {self.remedy}" if self.remedy else head


def look(file: Path) -> list[Finding]:
    """What there is, and what is missing. BadImage and its kinds where it is no image at all."""
    found = inspect(file)
    qemuimg.check(found)
    told = manifest.read(found.path.parent)
    if told and told.disk == found.path.name and told.agent:
        return [Finding(True, f"{found.format}, built by vmcontroller with the agent {told.agent}")]
    with tempfile.TemporaryDirectory(prefix="vmcontroller-") as work:
        raw = _raw(found, Path(work))
        return [Finding(True, found.format), *_findings(raw)]


def _raw(found: ImageFile, work: Path) -> Path:
    """The disk as it is, without a format around it."""
    if found.format == "ova":
        ova.unpack(found.path, work / "unpacked", Work())
        found = inspect(work / "unpacked")
    if found.format == "raw":
        return found.path
    qemuimg.convert(found, work / "disk.raw", "raw", Work())
    return work / "disk.raw"


def _findings(raw: Path) -> Iterator[Finding]:
    with raw.open("rb") as disk:
        layout = disklayout.read(disk)
    if layout.boots:
        yield Finding(True, "a BIOS can boot it")
    else:
        yield Finding(
            False, "a boot loader for a BIOS", "use the variant of the image for BIOS, not the one for UEFI alone"
        )
    system = next(filter(None, (_system(raw, offset) for offset in layout.partitions)), None)
    if system is None:
        what = "a Linux in ext4 that can be looked into; whether the agent is inside cannot be told from here"
        yield Finding(False, what, _BOOT_ONCE if shutil.which("debugfs") else "install debugfs (Debian: e2fsprogs)")
        return
    yield from system.findings()


@dataclass(frozen=True)
class _System:
    """A Linux on a disk."""

    raw: Path
    offset: int

    def findings(self) -> Iterator[Finding]:
        """From the system's name to the agent; what the agent needs is of interest only where it is missing."""
        yield Finding(True, self._name())
        if self.has("/usr/lib/vmcontroller/vmcontroller_guest"):
            yield Finding(True, "the agent is inside")
            return
        yield from self._needs()
        yield Finding(False, "the agent", _BOOT_ONCE)

    def _needs(self) -> Iterator[Finding]:
        versions = [int(minor) for minor in re.findall(r"/python3\.(\d+)/", self.run("ls -p /usr/bin"))]
        if max(versions, default=0) >= _OLDEST_MINOR:
            yield Finding(True, f"Python 3.{max(versions)}")
        else:
            yield Finding(False, f"Python 3.{_OLDEST_MINOR}", "take a newer release of the system, such as Debian 12")
        places = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
        yield _present("systemd", any(map(self.has, places)), "start the agent by another init of your own")
        how = "install the agent by hand: vmcontroller-guest --install"
        yield _present("cloud-init", self.has("/usr/bin/cloud-init"), how)

    def _name(self) -> str:
        told = re.search(r'^PRETTY_NAME="?([^"\n]*)', self.run("cat /usr/lib/os-release"), re.MULTILINE)
        return told[1] if told else "a Linux that does not tell its name"

    def has(self, path: str) -> bool:
        """Whether a file or directory is there."""
        return "Inode:" in self.run(f"stat {path}")

    def run(self, command: str) -> str:
        """What debugfs answers."""
        done = subprocess.run(
            ["debugfs", "-R", command, f"{self.raw}?offset={self.offset}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return done.stdout


def _present(what: str, is_there: bool, remedy: str) -> Finding:
    return Finding(is_there, what, "" if is_there else remedy)


def _system(raw: Path, offset: int) -> _System | None:
    """The Linux in a partition, or None."""
    with raw.open("rb") as disk:
        disk.seek(offset + _EXT_MAGIC_AT)
        is_ext = disk.read(2) == _EXT_MAGIC
    if not is_ext or not shutil.which("debugfs"):
        return None
    system = _System(raw, offset)
    return system if system.has("/usr/bin") else None


# -- what installs the agent


def write(directory: Path) -> None:
    """Make a directory with user-data and meta-data, and both on an ISO image, for cloud-init's NoCloud. BadRequest."""
    if directory.exists():
        raise BadRequest(f"{directory} exists already; name a directory that is to be made")
    directory.mkdir(parents=True)
    files = {"user-data": user_data(), "meta-data": "instance-id: vmcontroller\nlocal-hostname: vmcontroller\n"}
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    (directory / f"{LABEL}.iso").write_bytes(_iso(files))


def user_data() -> str:
    """A cloud-config (JSON is YAML) that installs the agent as a service, and turns the machine off then."""
    installing = (
        f"tar -xzf {_ARCHIVE} -C / && rm {_ARCHIVE} && touch /etc/cloud/cloud-init.disabled"
        " && PYTHONPATH=/usr/lib/vmcontroller python3 -m vmcontroller_guest --install"
        # What it has noted of this machine until now must not be in every VM.
        " && systemctl stop vmcontroller-guest && rm -rf /var/lib/vmcontroller-guest"
    )
    content = base64.b64encode(_archive()).decode("ascii")
    told = {
        "package_update": True,
        "packages": list(_PACKAGES),
        "write_files": [{"path": _ARCHIVE, "encoding": "b64", "permissions": "0600", "content": content}],
        "runcmd": [["sh", "-c", installing]],
        "power_state": {"mode": "poweroff", "condition": f"test -e {_UNIT}"},
    }
    return "#cloud-config\n" + json.dumps(told, indent=1) + "\n"


def _archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for source, name in payload.agent():
            member = tarfile.TarInfo(name)
            data = source.read_bytes()
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _iso(files: dict[str, str]) -> bytes:
    from pycdlib import PyCdlib  # noqa: PLC0415 — slow to import

    iso, image = PyCdlib(), io.BytesIO()
    iso.new(interchange_level=3, vol_ident=LABEL, rock_ridge="1.09", joliet=3)
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        iso.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    iso.write_fp(image)
    iso.close()
    return image.getvalue()
