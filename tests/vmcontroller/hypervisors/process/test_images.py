"""A machine's directory is filled from a directory or an archive, and from nothing else."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from vmcontroller.errors import BadImage
from vmcontroller.hypervisors.process import images


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the machine's files go."""
    path = tmp_path / "machine" / "files"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A directory with a program in a directory."""
    path = tmp_path / "image"
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "run").write_text("#!/bin/sh\n")
    (path / "bin" / "run").chmod(0o755)
    path.chmod(0o555)
    return path


def archive(path: Path, image: Path) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        tar.add(image, ".")
    return path


def test_none(target: Path) -> None:
    """Without an image a machine starts empty."""
    images.fill("", target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("kind", ["", "image.tar", "image.tar.gz", "anything.gz"])
def test_filled(target: Path, image: Path, tmp_path: Path, kind: str) -> None:
    """A directory is copied, an archive unpacked; the machine can write where its image could not."""
    images.fill(str(archive(tmp_path / kind, image) if kind else image), target)
    assert (target / "bin" / "run").read_text() == "#!/bin/sh\n"
    assert os.access(target / "bin" / "run", os.X_OK)
    assert target.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "in/../../escaped"])
def test_archive_that_leads_out(target: Path, tmp_path: Path, name: str) -> None:
    """No member of an archive gets out of the machine's directory."""
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    try:
        images.fill(str(tmp_path / "evil.tar"), target)
    except BadImage:
        pass
    assert not list(tmp_path.glob("**/escaped")) or (target / "tmp" / "escaped").exists()
    assert not Path("/tmp/escaped").exists()


def test_archive_with_a_link_that_leads_out(target: Path, tmp_path: Path) -> None:
    """Nor does a link in it."""
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        tar.addfile(link)
    with pytest.raises(BadImage, match=r"evil\.tar cannot be unpacked"):
        images.fill(str(tmp_path / "evil.tar"), target)


def test_missing(target: Path) -> None:
    """An image that is not there is named."""
    with pytest.raises(BadImage, match="/no/image does not exist"):
        images.fill("/no/image", target)


@pytest.mark.parametrize("content", [b"", b"KDMV a disk image", b"\x1f\x8b not really gzip"])
def test_no_image(target: Path, tmp_path: Path, content: bytes) -> None:
    """What is neither a directory nor an archive is refused with what would do."""
    (tmp_path / "disk.vmdk").write_bytes(content)
    with pytest.raises(BadImage, match=r"give a directory or a \.tar"):
        images.fill(str(tmp_path / "disk.vmdk"), target)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_damaged_archive(target: Path, tmp_path: Path, kept: float) -> None:
    """An archive that ends too early, or has wrong octets, is a bad image."""
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        member = tarfile.TarInfo("data")
        member.size = 200_000
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    packed = gzip.compress((tmp_path / "whole.tar").read_bytes())
    cut = int(len(packed) * kept)
    for content in (packed[:cut], packed[:cut] + bytes(16) + packed[cut + 16 :]):
        (tmp_path / "damaged.tar.gz").write_bytes(content)
        with pytest.raises(BadImage, match=r"damaged\.tar\.gz"):
            images.fill(str(tmp_path / "damaged.tar.gz"), target)


def test_image_around_the_machine(target: Path, tmp_path: Path) -> None:
    """A directory is not copied into itself."""
    with pytest.raises(BadImage, match="holds the directory that the machine would lie in"):
        images.fill(str(tmp_path), target)


def test_old_python(target: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that cannot unpack safely does not unpack."""
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(BadImage, match="this Python is too old"):
        images.fill(str(archive(tmp_path / "image.tar", image)), target)


def test_full_disk_is_not_the_image(target: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the machine's own directory is none of the image's."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(target / "bin"))

    monkeypatch.setattr(images.files, "copy", full)
    with pytest.raises(OSError, match="No space left"):
        images.fill(str(image), target)
