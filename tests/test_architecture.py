"""Who may import whom (docs/decisions/ tells why): downwards only, and each part only what it has to know.

A module that is new to the host daemon has to be put into a layer here.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("vmcontroller", "vmcontroller_guest", "wrapper", "job_xml")

#: The host daemon from the bottom to the top. A part imports parts of lower layers, none of its own or higher ones.
LAYERS = (
    "errors wire machine",
    "disk",
    "interfaces commands guests sessions outputs waiters repeats channel threads chirpkeys config statedir client"
    " logfile turns wishes",
    "stdin records database images",
    "ledger",
    "access leases intake feeding reconciliation results transfers",
    "controller",
    "machines rpc chirp",
    "transfer expiry wakening",
    "api",
    # Sockets and hypervisors are given to the parts below, which therefore cannot know them.
    "hypervisors broker door messaging post relay",
    "brokers",
    "service",
    "daemon",
    "cli",
    "__main__",
)

#: Parts that may know these of ours and no other, whatever the layers allow.
CONFINED = {
    "vmcontroller.wire": "",
    "vmcontroller.client": "vmcontroller.errors",
    "vmcontroller.hypervisors": "vmcontroller.interfaces vmcontroller.machine vmcontroller.errors vmcontroller.wire"
    " vmcontroller.images",
    "vmcontroller.images": "vmcontroller.errors vmcontroller.disk vmcontroller.threads",
    "vmcontroller.broker": "vmcontroller.wire",
    "vmcontroller.messaging": "vmcontroller.wire vmcontroller.errors",
    "vmcontroller.door": "vmcontroller.wire vmcontroller.machine",
    "vmcontroller.relay": "",
    "vmcontroller.channel": "vmcontroller.wire",
    "vmcontroller.threads": "",
    # channel and threads carry Chirp at both ends; neither knows the host.
    "vmcontroller_guest": "vmcontroller.wire vmcontroller.messaging vmcontroller.errors vmcontroller.channel"
    " vmcontroller.threads",
    "wrapper": "vmcontroller.client job_xml",
    "job_xml": "",
}

#: The version is no secret to anybody.
VERSION = ("vmcontroller", "vmcontroller.__version__")

#: What others wrote and a part may use besides the standard library.
FOREIGN = {
    "vmcontroller.wire": "stomper",
    "vmcontroller_guest": "twisted zope netifaces",
    "wrapper": "",
    "job_xml": "lxml",
}

#: Whoever imports the reactor chooses one for the whole process: only programs do.
PROGRAMS = {"vmcontroller.__main__", "vmcontroller.daemon", "vmcontroller_guest.__main__"}


def name_of(path: Path) -> str:
    """A module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# The examples are programs of their own that happen to lie in a package.
FILES = [path for top in OURS for path in sorted((ROOT / top).rglob("*.py")) if "examples" not in path.parts]
MODULES = {name_of(path): path for path in FILES}


@cache
def imports(module: str) -> list[str]:
    """The dotted names that a module imports, at any depth and in any function."""
    found: list[str] = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names]
    return found


def is_of(name: str, part: str) -> bool:
    """Whether a dotted name is a part or lies in it."""
    return f"{name}.".startswith(f"{part}.")


def of(part: str) -> list[str]:
    """The modules of a part."""
    return [module for module in MODULES if is_of(module, part)]


def layer(name: str) -> int:
    """The number of the layer that a name of the host daemon lies in; 0 for the package itself and for strangers."""
    unit = name.split(".")[1] if is_of(name, "vmcontroller") and "." in name else ""
    return next((number for number, parts in enumerate(LAYERS, 1) if unit in parts.split()), 0)


def test_everything_has_its_layer() -> None:
    """Each module of the host daemon stands in the table, and the tables speak of what is there."""
    assert [module for module in of("vmcontroller") if not layer(module) and module != "vmcontroller"] == []
    units = {f"vmcontroller.{unit}" for parts in LAYERS for unit in parts.split()}
    assert [part for part in (*units, *CONFINED, *FOREIGN) if part not in MODULES] == []


def test_downwards_only() -> None:
    """In the host daemon nothing imports its own layer or a higher one."""
    for module in of("vmcontroller"):
        unit = ".".join(module.split(".")[:2])
        upwards = [name for name in imports(module) if layer(name) >= layer(module) > 0 and not is_of(name, unit)]
        assert (module, upwards) == (module, [])


def test_confined() -> None:
    """Parts that have to stay independent import nothing of ours but what the table grants."""
    for part, granted in CONFINED.items():
        may = (part, *granted.split())
        for module in of(part):
            ours = [name for name in imports(module) if name.split(".")[0] in OURS and name not in VERSION]
            assert (module, [name for name in ours if not any(is_of(name, known) for known in may)]) == (module, [])


def test_foreign() -> None:
    """Parts that run where little is installed need no more than the table grants."""
    for part, granted in FOREIGN.items():
        for module in of(part):
            needed = {name.split(".")[0] for name in imports(module)}
            assert (module, needed - {*sys.stdlib_module_names, *OURS, *granted.split()}) == (module, set())


def test_full_names() -> None:
    """A module is imported by its full name."""
    assert [(module, name) for module in MODULES for name in imports(module) if name.startswith(".")] == []


def test_reactor() -> None:
    """Only a program imports the reactor; all else is given one."""
    importers = {module for module in MODULES if "twisted.internet.reactor" in imports(module)}
    assert importers <= PROGRAMS
