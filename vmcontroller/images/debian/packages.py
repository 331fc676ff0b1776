"""Installs Debian packages into an empty directory, with mmdebstrap: as root or in a user namespace, as it can.

What comes out is a tar archive of the whole file system, and the kernel's package beside it, not installed.
"""

from __future__ import annotations

import re
import shlex
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vmcontroller.errors import BuildFailed
from vmcontroller.images.debian import tools
from vmcontroller.images.debian.order import KERNEL, SUITE, Order

_ARCHIVES = "/var/cache/apt/archives"
_KERNEL_NOTE = "boot/kernel-package"
_UNWANTED = ("doc", "man", "info", "locale", "lintian", "bug")
#: Directories that are links into usr from the beginning on.
_MERGED = "bin sbin lib lib64"
#: Packages that nobody needs, though others ask for them in the first place: usr-is-merged does as well.
_REFUSED = "Package: usrmerge\\nPin: release *\\nPin-Priority: -1\\n"
#: mount, ps, ip and whatever else no package has brought is busybox's.
_BUSYBOX = "for name in $(busybox --list); do command -v $name > /dev/null || ln -s /bin/busybox /usr/bin/$name; done"


def install(order: Order, sources: tuple[str, ...], agent: Path, root: Path, tell: Callable[[str], None]) -> None:
    """Write the archive ``root``: the packages, and what the archive ``agent`` holds. BuildFailed, DiskFull."""
    assert order.cache is not None
    order.cache.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--variant=apt", "--mode=auto", "--format=tar", f"--include={','.join(order.packages)}"]
    command += ["--skip=essential/unlink", *_options(), *_hooks(order.cache, agent), SUITE, str(root), *sources]
    tools.follow(command, lambda line: _hear(line, tell))


def _options() -> Iterator[str]:
    yield '--aptopt=APT::Install-Recommends "false"'
    yield '--aptopt=Acquire::Check-Valid-Until "false"'
    for name in _UNWANTED:
        yield f"--dpkgopt=path-exclude=/usr/share/{name}/*"


def _hooks(cache: Path, agent: Path) -> Iterator[str]:
    """What mmdebstrap does besides; "$1" is the directory that becomes the guest's root."""
    kept = shlex.quote(str(cache))
    compiling = "python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/vmcontroller"
    kernel = f"name=$(apt-cache depends {KERNEL} | sed -n 's/^ *Depends: //p' | head -n 1) && " + (
        f"cd {_ARCHIVES} && apt-get -q download $name && apt-cache show --no-all-versions $name > /{_KERNEL_NOTE}"
    )
    yield f'--setup-hook=mkdir -p "$1"{_ARCHIVES}/partial "$1"/etc/apt/preferences.d'
    yield f'--setup-hook=cd "$1" && for part in {_MERGED}; do mkdir -p usr/$part; ln -s usr/$part $part; done'
    yield f"--setup-hook=printf '{_REFUSED}' > \"$1\"/etc/apt/preferences.d/vmcontroller"
    yield f"--setup-hook=sync-in {kept} {_ARCHIVES}"
    yield f'--customize-hook=chroot "$1" sh -c {shlex.quote(_BUSYBOX)}'
    yield f"--customize-hook=tar-in {shlex.quote(str(agent))} /"
    yield f'--customize-hook=chroot "$1" {compiling}'
    yield f'--customize-hook=chroot "$1" sh -c {shlex.quote(kernel)}'
    yield f"--customize-hook=sync-out {_ARCHIVES} {kept}"


def _hear(line: str, tell: Callable[[str], None]) -> None:
    match = re.match(r"I: ((?:downloading|extracting|installing|running apt-get update|cleaning|creating).*)", line)
    if match:
        tell(match[1].rstrip("."))


def kernel(root: Path, cache: Path) -> Path:
    """The kernel's package that was downloaded for the archive ``root``. BuildFailed."""
    with tarfile.open(root) as archive:
        note = archive.extractfile(f"./{_KERNEL_NOTE}")
        told = fields((note.read() if note else b"").decode())
    path = cache / _file(told)
    if not path.exists():
        raise BuildFailed(f"apt has not brought the kernel {path.name}; see that {KERNEL} is in the package sources")
    return path


def installed(root: Path) -> list[dict[str, str]]:
    """The fields of every package in the archive ``root``, by name."""
    with tarfile.open(root) as archive:
        status = archive.extractfile("./var/lib/dpkg/status")
        text = (status.read() if status else b"").decode()
    return sorted((fields(part) for part in text.split("\n\n") if part.strip()), key=lambda told: told["Package"])


def youngest(packages: list[dict[str, str]], kernel_package: Path, cache: Path) -> int:
    """When the youngest of these was made, in seconds since the epoch."""
    paths = [cache / _file(told) for told in packages]
    return max(made(path) for path in (*paths, kernel_package) if path.exists())


def fields(text: str) -> dict[str, str]:
    """Package, Version and so on of one paragraph about a package; what goes on for several lines is left out."""
    return dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.MULTILINE))


def _file(told: dict[str, str]) -> str:
    """The name under which apt keeps a package."""
    try:
        return f"{told['Package']}_{told['Version'].replace(':', '%3a')}_{told['Architecture']}.deb"
    except KeyError as error:
        raise BuildFailed(f"apt tells no {error.args[0]} of a package that it installed") from None


def made(package: Path) -> int:
    """When a package was made: the time in the first header of the ar archive that it is, deb(5)."""
    with package.open("rb") as file:
        head = file.read(8 + 60)
    return int(head[24:36])
