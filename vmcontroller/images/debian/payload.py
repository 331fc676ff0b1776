"""What we put into the guest besides packages: the agent of this very installation, and the scripts that start it."""

from __future__ import annotations

import ast
import io
import tarfile
from importlib import resources
from pathlib import Path

import vmcontroller

HOME = "usr/lib/vmcontroller"
AGENT = "vmcontroller_guest"
_PACKAGES = Path(vmcontroller.__file__).parents[1]
#: Our files in the guest, and what is in the directory beside this module.
_SCRIPTS = {
    "usr/lib/vmcontroller/init": "init",
    "usr/lib/vmcontroller/dhcp": "dhcp",
    "usr/local/sbin/vmcontroller-guest": "vmcontroller-guest",
}


def script(name: str) -> bytes:
    """One of the scripts for the guest."""
    return resources.files(__package__).joinpath("guest", name).read_bytes()


def write(path: Path) -> None:
    """An archive of all that, to be unpacked over the guest's root. OSError."""
    with tarfile.open(path, "w") as archive:
        for source, name in agent():
            _add(archive, name, source.read_bytes(), 0o644)
        for target, name in _SCRIPTS.items():
            _add(archive, target, script(name), 0o755)


def agent() -> list[tuple[Path, str]]:
    """Each module of the agent, and its path in the guest without the first slash."""
    return [(source, f"{HOME}/{source.relative_to(_PACKAGES).as_posix()}") for source in modules()]


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    member = tarfile.TarInfo(f"./{name}")
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))


def modules() -> list[Path]:
    """The agent's modules, and those of ours that they import."""
    todo = sorted((_PACKAGES / AGENT).rglob("*.py"))
    found: set[Path] = set()
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imported(path)
    return sorted(found)


def _imported(path: Path) -> list[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return [path for name in names if name.startswith("vmcontroller") for path in _files(name)]


def _files(name: str) -> list[Path]:
    """The files of a dotted name and of the packages that it lies in."""
    parts = name.split(".")
    places = [_PACKAGES.joinpath(*parts[: length + 1]) for length in range(len(parts))]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    return [file for file in files if file.is_file()]
