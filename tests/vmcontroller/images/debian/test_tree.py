"""The guest's file system: cleaned, and owned by whom the archive says, whoever unpacks it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from vmcontroller.images.debian.tree import Owned, unpack

EPOCH = 1_700_000_000


def archive(path: Path, *members: tuple[str, int, bytes | str, dict[str, int]]) -> Path:
    """Members as name, type, contents or target of a link, and more fields."""
    with tarfile.open(path, "w") as made:
        for name, kind, what, more in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.mtime = bytes([kind]), 0o755, EPOCH - 5
            data = what if isinstance(what, bytes) else b""
            member.size, member.linkname = len(data), what if isinstance(what, str) else ""
            for field, value in more.items():
                setattr(member, field, value)
            made.addfile(member, io.BytesIO(data))
    return path


def test_unpacked(tmp_path: Path) -> None:
    """Files, links, hard links; times of the build are cut back, rubbish and devices are left out."""
    made = archive(
        tmp_path / "root.tar",
        (".", ord("5"), b"", {}),
        ("./etc", ord("5"), b"", {}),
        ("./etc/shadow", ord("0"), b"root:*:20000:0:99999:7:::\nbin:*:20001:0:::::\n", {"gid": 42, "mode": 0o640}),
        ("./etc/passwd-", ord("0"), b"old", {}),
        ("./usr", ord("5"), b"", {}),
        ("./usr/bin", ord("5"), b"", {}),
        ("./usr/bin/su", ord("0"), b"su", {"mode": 0o4755, "mtime": EPOCH + 1000}),
        ("./usr/bin/link", ord("2"), "/usr/bin/su", {}),
        ("./usr/bin/hard", ord("1"), "./usr/bin/su", {}),
        ("./dev", ord("5"), b"", {}),
        ("./dev/null", ord("3"), b"", {}),
        ("./var", ord("5"), b"", {}),
        ("./var/log", ord("5"), b"", {}),
        ("./var/log/dpkg.log", ord("0"), b"today", {}),
    )
    (tmp_path / "tree").mkdir()
    tree = unpack(made, tmp_path / "tree", EPOCH)
    assert tree.of("etc/shadow") == Owned(0, 42, 0o640, EPOCH - 5)
    assert (
        tree.path / "etc/shadow"
    ).read_text() == f"root:*:{EPOCH // 86400}:0:99999:7:::\nbin:*:{EPOCH // 86400}:0:::::\n"
    assert tree.of("usr/bin/su") == Owned(0, 0, 0o4755, EPOCH)
    assert (tree.path / "usr/bin/link").readlink() == Path("/usr/bin/su")
    assert (tree.path / "usr/bin/hard").stat().st_nlink == 2
    assert not {"etc/passwd-", "dev/null", "var/log/dpkg.log"} & set(tree.names())
    assert tree.of("tmp") == Owned(0, 0, 0o1777, EPOCH)
    assert (tree.path / "etc/hostname").read_text() == "vmcontroller\n"
    assert (tree.path / "usr/sbin/modprobe").readlink() == Path("/bin/busybox")


def test_what_was_added(tmp_path: Path) -> None:
    """A file that is put into the tree later is root's."""
    (tmp_path / "tree").mkdir()
    tree = unpack(archive(tmp_path / "root.tar", ("./etc", ord("5"), b"", {})), tmp_path / "tree", EPOCH)
    (tree.path / "etc/ours").write_text("x")
    (tree.path / "etc/ours").chmod(0o600)
    assert tree.of("etc/ours") == Owned(0, 0, 0o600, EPOCH)
    assert tree.names().index("etc") < tree.names().index("etc/ours")
