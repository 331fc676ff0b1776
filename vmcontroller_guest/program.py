"""From a command's words to a program that can be started: which file, where, with what environment and input.

Whatever is wrong is told in one sentence, for whoever asked for the command and cannot see into the guest.
Unix only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmcontroller.wire.words import CmdRun
from vmcontroller_guest.interfaces import NotStarted

#: Environment variables by which a command's processes are known, also when they have left their parent.
CMD_ID, VM_ID, STATE = "VMCONTROLLER_CMD_ID", "VMCONTROLLER_ID", "VMCONTROLLER_AGENT"

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Surroundings:
    """What all commands of one agent share: the VM's id, the agent's state directory, the served directory."""

    vm_id: str
    state: Path
    served: Path
    environment: Mapping[str, str]

    def marks(self) -> dict[str, str]:
        """The variables that all processes of this agent's commands carry, the command's id apart."""
        return {VM_ID: self.vm_id, STATE: str(self.state)}


@dataclass(frozen=True)
class Program:
    """What is to be executed."""

    file: str
    arguments: list[str]
    directory: str
    environment: Mapping[str, str]


def prepare(run: CmdRun, around: Surroundings) -> Program:
    """The program that a command asks for. NotStarted."""
    environment = _environment(run, around)
    directory = _directory(run.path, around.served)
    file = _file(run.cmd, directory, around.served, environment["PATH"])
    for text in (run.cmd, *run.args):
        if "\0" in text:
            raise NotStarted(f"The argument {text[:40]!r} holds a NUL, which no program can be given.")
    return Program(file, [run.cmd, *run.args], directory, environment)


def _environment(run: CmdRun, around: Surroundings) -> dict[str, str]:
    own = around.environment
    base = {
        "PATH": own.get("PATH") or _PATH,
        "HOME": own.get("HOME") or str(around.served),
        "LANG": own.get("LANG") or "C.UTF-8",
    }
    inherited = {name: value for name, value in own.items() if name.startswith("VMCONTROLLER_")}
    for name, value in run.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise NotStarted(f"The environment variable {name[:40]!r} has a name or a value that cannot be.")
    # The marks come last: they lead to the processes that have to be ended, whatever a caller sets.
    return base | dict(run.env) | inherited | around.marks() | {CMD_ID: run.cmd_id}


def _directory(path: str, served: Path) -> str:
    directory = os.path.join(served, path) if path else str(served)
    if "\0" in path or not os.path.isdir(directory):
        raise NotStarted(f"The working directory {directory!r} is not a directory in the guest.")
    return directory


def _file(cmd: str, directory: str, served: Path, search: str) -> str:
    if "/" not in cmd:
        return _in_path(cmd, directory, search)
    beside = cmd.removeprefix("./")
    places = [os.path.join(directory, beside), os.path.join(served, beside)]
    return next((place for place in places if os.path.exists(place)), places[0])


def _in_path(cmd: str, directory: str, search: str) -> str:
    if not cmd:
        raise NotStarted("The command is empty; name a program.")
    places = [os.path.join(directory, folder, cmd) for folder in search.split(":")]
    found = [place for place in places if os.path.isfile(place)]
    if not found:
        hint = f" The working directory has one: call it ./{cmd}." if os.path.exists(f"{directory}/{cmd}") else ""
        raise NotStarted(f"{cmd} is not found in the guest's PATH ({search}).{hint}")
    return next((place for place in found if os.access(place, os.X_OK)), found[0])


def why_not(error: Exception, program: Program) -> NotStarted:
    """The sentence for what the system answered when the program should start."""
    if not isinstance(error, OSError):
        return NotStarted(f"{program.arguments[0]!r} cannot be started: {error}.")
    reasons = {
        errno.ENOENT: _why_missing,
        errno.EACCES: _why_denied,
        errno.ENOEXEC: _why_wrong_format,
        errno.E2BIG: lambda file: "cannot be started: its arguments and environment are too long for this system",
        errno.ETXTBSY: lambda file: "cannot be started: somebody is still writing it",
    }
    explain = reasons.get(error.errno or 0, lambda file: f"cannot be started: {error.strerror}")
    return NotStarted(f"{program.file} {explain(program.file)}.")


def _why_missing(file: str) -> str:
    if not os.path.exists(file):
        return "does not exist in the guest"
    interpreter = _interpreter(file)
    if interpreter is None:
        return "cannot be started: the loader or a library that it is linked to does not exist in the guest"
    return f"cannot be started: {interpreter!r}, the interpreter in its first line, does not exist in the guest"


def _why_denied(file: str) -> str:
    if os.path.isdir(file):
        return "is a directory, not a program"
    mode = os.stat(file).st_mode if os.path.exists(file) else 0
    if not mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        return f"is not executable (its mode is {stat.filemode(mode)}); give it the mode 755 before it is copied"
    interpreter = _interpreter(file)
    if interpreter is not None and not os.access(interpreter, os.X_OK):
        return f"cannot be started: {interpreter!r}, the interpreter in its first line, is not executable"
    return "may not be executed by the agent's user"


def _why_wrong_format(file: str) -> str:
    head = _head(file)
    if not head:
        return "is empty"
    if head.startswith(b"\x7fELF"):
        return "is a program for another kind of machine"
    if b"\0" not in head:
        return "is a script without a #! line; write its interpreter into the first line, such as #!/bin/sh"
    return "has a format that this system cannot execute"


def _interpreter(file: str) -> str | None:
    head = _head(file)
    if not head.startswith(b"#!"):
        return None
    line = head[2:].split(b"\n")[0].replace(b"\t", b" ").strip(b" ")
    return os.fsdecode(line.split(b" ")[0])  # other white space, such as a carriage return, is part of the name


def _head(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(256)
    except OSError:
        return b""


def open_input(name: str, served: Path) -> int:
    """A descriptor of the file from which a command reads; a relative name is in the served directory. NotStarted."""
    path = os.path.join(served, name)
    if "\0" in name or not os.path.exists(path):
        raise NotStarted(f"The input file {path!r} does not exist in the guest; copy it there first.")
    if not name or os.path.isdir(path) or stat.S_ISFIFO(os.stat(path).st_mode):
        raise NotStarted(f"The input file {path!r} is not a file.")
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise NotStarted(f"The input file {path!r} cannot be read: {error.strerror}.") from None
