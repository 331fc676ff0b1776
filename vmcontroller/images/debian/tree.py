"""The guest's file system as a directory: unpacked, cleaned of what differs from build to build, owned by anybody.

Who owns a file in the guest, its mode and its time are kept beside it: no right to change them here is needed.
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

#: What a build leaves behind: caches, locks, logs, second copies, and what differs without telling anything.
_RUBBISH = (
    *("var/cache/apt/*", "var/cache/ldconfig/*", "var/cache/debconf/*-old", "var/lib/apt/lists/*", "var/log/*.log"),
    *(
        "var/log/apt/*",
        "var/lib/dpkg/*-old",
        "etc/.pwd.lock",
        "etc/passwd-",
        "etc/group-",
        "etc/shadow-",
        "etc/gshadow-",
    ),
    *("etc/apt/preferences.d/vmcontroller", "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap"),
    *("boot/*", "tmp/*", "run/*", "dev/*", "usr/lib/python3/dist-packages/twisted/plugins/dropin.cache"),
    *("usr/lib/python3/dist-packages/twisted/test/*", "usr/lib/python3/dist-packages/twisted/*/test/*"),
)
_FILES = {
    "etc/hostname": "vmcontroller\n",
    "etc/hosts": "127.0.0.1 localhost vmcontroller\n",
    "etc/resolv.conf": "",
    "etc/machine-id": "",
}
#: Where the hypervisor's kernel and init look for what they need.
_PLACES = ("dev", "proc", "sys", "run", "tmp", "boot", "mnt", "srv/vmcontroller", "var/lib/vmcontroller-guest")
#: What the kernel calls when a module is wanted. That of kmod reads tables that only kmod's depmod writes.
_MODPROBE = "usr/sbin/modprobe"
_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Owned:
    """What the guest shall see of a file; ``time`` is in seconds since the epoch."""

    uid: int
    gid: int
    mode: int
    time: int


@dataclass
class Tree:
    """A directory, and who owns what in it; what is not told is root's."""

    path: Path
    epoch: int
    owned: dict[str, Owned] = field(default_factory=dict)

    def of(self, name: str) -> Owned:
        """A file by its path from the root, without a slash at its beginning."""
        known = self.owned.get(name)
        if known is not None:
            return known
        return Owned(0, 0, os.lstat(self.path / name).st_mode & 0o7777, self.epoch)

    def names(self) -> list[str]:
        """Everything in it, sorted, directories before what is in them."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*"))


def unpack(archive: Path, into: Path, epoch: int) -> Tree:
    """Unpack and clean; ``into`` is an empty directory. OSError."""
    tree = Tree(into, epoch)
    with tarfile.open(archive) as source:
        for member in source:
            name = member.name.removeprefix("./")
            if name not in ("", ".") and not _is_rubbish(name, member):
                _put(tree, source, member, name)
    _write_own(tree)
    return tree


def _is_rubbish(name: str, member: tarfile.TarInfo) -> bool:
    return member.ischr() or member.isblk() or any(fnmatch(name, pattern) for pattern in _RUBBISH)


def _put(tree: Tree, source: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    target = tree.path / name
    tree.owned[name] = Owned(member.uid, member.gid, member.mode & 0o7777, min(int(member.mtime), tree.epoch))
    if member.isdir():
        target.mkdir(exist_ok=True)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        os.link(tree.path / member.linkname.removeprefix("./"), target)
    else:
        reader = source.extractfile(member)
        assert reader is not None, "only files are left"
        target.write_bytes(_same_each_day(name, reader.read(), tree.epoch))


def _same_each_day(name: str, data: bytes, epoch: int) -> bytes:
    """The day on which a password was set last is that of the epoch."""
    if name != "etc/shadow":
        return data
    return re.sub(rb"(?m)^([^:]*:[^:]*):\d*:", rb"\1:%d:" % (epoch // _DAY), data)


def _write_own(tree: Tree) -> None:
    _link(tree, _MODPROBE, "/bin/busybox")
    for name in _PLACES:
        (tree.path / name).mkdir(parents=True, exist_ok=True)
    tree.owned["tmp"] = Owned(0, 0, 0o1777, tree.epoch)
    for name, text in _FILES.items():
        path = tree.path / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        tree.owned[name] = Owned(0, 0, 0o644, tree.epoch)


def _link(tree: Tree, name: str, target: str) -> None:
    path = tree.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    tree.owned[name] = Owned(0, 0, 0o777, tree.epoch)
