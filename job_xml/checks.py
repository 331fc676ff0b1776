"""What is hardly meant so in one task, though every wrapper would run it: the traps of the stock wrapper and of VMs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from job_xml import commandline
from job_xml.commandline import Word
from job_xml.elements import Type
from job_xml.model import Kind, Task
from job_xml.outline import Block, Entry
from job_xml.problems import Problems, shown

_MACRO = re.compile(r"\$\{?[A-Za-z_]\w*\}?")
_SHELL = frozenset({">", ">>", "<", "<<", "|", "||", "&", "&&", ";", "2>", "2>>", "2>&1", "&>"})
_USELESS_IN_DAEMON = ("weight", "time_limit", "fraction_done_filename", "checkpoint_filename")
_USELESS_IN_HELPER = (*_USELESS_IN_DAEMON, "daemon")
_USELESS_IN_VM = ("multi_process", "priority", "forward_slashes")
_ONLY_ON_HOST = (commandline.PROJECT_DIR, commandline.PWD, commandline.GPU_DEVICE_NUM, "boinc_resolve(")


@dataclass(frozen=True)
class Look:
    """One task, as it stands in the file and as it was understood, and where to tell what is wrong with it."""

    block: Block
    task: Task
    problems: Problems

    def line(self, name: str) -> int:
        """Where an element stands, or the task itself."""
        entry = self.block.last(name)
        return entry.line if entry else self.block.line

    def error(self, name: str, what: str, remedy: str) -> None:
        """The element does not do what it says."""
        self.problems.error(self.line(name), what, remedy)

    def warning(self, name: str, what: str, remedy: str) -> None:
        """The element does what it says, and hardly what is meant."""
        self.problems.warning(self.line(name), what, remedy)


def check(block: Block, task: Task, problems: Problems) -> None:
    """Look at one task from every side."""
    look = Look(block, task, problems)
    for side in _SIDES:
        side(look)


def _program(look: Look) -> None:
    application = look.task.application
    if look.task.vm:
        return
    if not application and "application" not in look.block.misspelt:
        look.error("application", "there is nothing to run: the wrapper exits with 1 here", "write <application>")
    before, macro, _ = application.partition(commandline.PROJECT_DIR)
    if macro and before:
        look.error(
            "application", f"{shown(before)} is dropped, because $PROJECT_DIR follows", "start with $PROJECT_DIR"
        )
    for found in _macros(application.replace(commandline.PROJECT_DIR, "")):
        look.error("application", f"{found} is not replaced in <application>", "write a logical name")


def _working_directory(look: Look) -> None:
    application = look.task.application
    absolute = application.startswith("/") or commandline.PROJECT_DIR in application
    if look.task.exec_dir and not look.task.vm and not absolute:
        what = "on Unix the program is looked for from <exec_dir>, and a relative one is not found (exit 195)"
        look.error("exec_dir", what, "start <application> with $PROJECT_DIR/, or leave <exec_dir> out")


def _file_names(look: Look) -> None:
    for entry in look.block.entries:
        if entry.element.type is Type.NAME:
            for found in _macros(str(entry.value)):
                what = f"{found} is not replaced in <{entry.element.name}>"
                look.problems.error(entry.line, what, "write a logical name")


def _command_line(look: Look) -> None:
    try:
        line = commandline.resolve_phrases(look.task.command_line, lambda name: name)
    except commandline.Unclosed:
        what = "boinc_resolve( has no ), and the wrapper exits with 1 when it comes to it"
        look.error("command_line", what, "close it")
        return
    words = list(commandline.words(line))
    _size(look, len(line.encode("utf-8", "surrogateescape")), len(words))
    for word in words:
        _quotes(look, word, line[word.end + 1 : word.end + 2])
        _shell(look, word)


def _size(look: Look, octets: int, words: int) -> None:
    if octets > commandline.MOST_OCTETS:
        what = f"<command_line> has {octets} octets, and is cut after {commandline.MOST_OCTETS}"
        look.error("command_line", what, "put arguments into a file")
    elif words > commandline.MOST_ARGUMENTS:
        what = f"<command_line> has {words} words, and the stock wrapper has room for {commandline.MOST_ARGUMENTS}"
        look.error("command_line", what, "put arguments into a file")


def _quotes(look: Look, word: Word, following: str) -> None:
    """What shells do with quotes and the stock wrapper does not."""
    if word.quote and not word.closed:
        look.error("command_line", f"the quote before {shown(word.text)} is not closed", "close it")
    elif word.quote and word.text.startswith(word.quote):
        what = "an empty word in quotes swallows what follows, up to the next quote"
        look.error("command_line", what, "leave it out; an empty argument cannot be given")
    elif word.quote and word.text.endswith("\\"):
        what = f"the backslash does not keep the quote from ending {shown(word.text)}"
        look.error("command_line", what, "use the other quote around the word")
    elif word.quote and following.strip():
        look.warning("command_line", f"another word starts right after {shown(word.text)}", "write a space between")
    elif not word.quote and ("'" in word.text[:-1] or '"' in word.text[:-1]):
        what = f"in {shown(word.text)} the quote is an ordinary character and holds nothing together"
        look.warning("command_line", what, "put the quotes around the whole word")


def _shell(look: Look, word: Word) -> None:
    if word.text in _SHELL and not word.quote:
        what = f"{shown(word.text)} goes to the program as an argument, because no shell sees the command line"
        look.warning("command_line", what, "name files with <stdin_filename> and <stdout_filename>")


def _unknown_macros(look: Look) -> None:
    for name in ("command_line", "exec_dir", "setenv"):
        for entry in look.block.every(name):
            for found in _macros(str(entry.value)):
                _unknown_macro(look, entry, found)


def _unknown_macro(look: Look, entry: Entry, found: str) -> None:
    if not found.startswith(commandline.MACROS):
        what = f"{found} is no macro and stays as it is, because no shell sees it"
        look.problems.warning(entry.line, what, f"there are {', '.join(commandline.MACROS)}")
    elif look.task.daemon:
        what = f"the stock wrapper does not replace {found} in a daemon"
        look.problems.warning(entry.line, what, "write what it stands for, where the stock wrapper may run this")


def _macros(text: str) -> Iterator[str]:
    return (found[0] for found in _MACRO.finditer(text))


def _environment(look: Look) -> None:
    for entry in look.block.every("setenv"):
        name, equals, _ = str(entry.value).partition("=")
        if not equals or not name.strip():
            look.problems.error(entry.line, f"<setenv> is {shown(str(entry.value))}", "write NAME=VALUE")
    names = {variable.partition("=")[0] for variable in look.task.setenv}
    if names and "PATH" not in names and not look.task.vm:
        what = "with <setenv> the program has no other variables, PATH among them"
        look.warning("setenv", what, "set PATH as well, if anything is to be found by it")


def _numbers(look: Look) -> None:
    for entry in look.block.entries:
        limits = entry.element.range
        if entry.element.of_vm or limits is None or not isinstance(entry.value, (int, float)):
            continue
        if not math.isfinite(entry.value) or not limits[0] <= entry.value <= limits[1]:
            what = f"<{entry.element.name}> is {entry.value:g}"
            look.problems.error(entry.line, what, f"write {entry.element.expected()}")
    if look.task.weight == 0 and look.block.last("weight"):
        look.warning("weight", "the task counts nothing towards the fraction done", "write more than 0")


def _useless(look: Look) -> None:
    if look.task.kind is not Kind.TASK:
        _say_useless(look, _USELESS_IN_HELPER, f"in a <{look.block.name}>")
    elif look.task.daemon:
        _say_useless(look, _USELESS_IN_DAEMON, "in a daemon")
    elif look.task.vm:
        _say_useless(look, _USELESS_IN_VM, "in a VM")


def _say_useless(look: Look, names: tuple[str, ...], where: str) -> None:
    for name in names:
        if look.block.last(name):
            look.warning(name, f"<{name}> does nothing {where}", "take it away")


def _paths_in_vm(look: Look) -> None:
    if not look.task.vm:
        return
    for name in ("command_line", "exec_dir", "setenv"):
        for entry in look.block.every(name):
            for phrase in _ONLY_ON_HOST:
                if phrase in str(entry.value):
                    what = f"{phrase.rstrip('(')} gives something of the host, and the program runs in a VM"
                    look.problems.warning(entry.line, what, "write the name that the file has in the VM")


def _input_in_vm(look: Look) -> None:
    vm, name = look.task.vm, look.task.stdin_filename
    if vm and name and not vm.copy_stdin and name not in vm.files_in:
        what = f"nothing copies {shown(name)} into the VM, so it must be in the image"
        look.warning("stdin_filename", what, "write <copy_stdin_to_VM>1</copy_stdin_to_VM>, if it is in the slot")


def _said_twice(look: Look) -> None:
    for name in ("copy_file_to_VM", "copy_file_from_VM", "setenv"):
        seen: set[object] = set()
        for entry in look.block.every(name):
            if entry.value in seen:
                look.problems.warning(entry.line, f"<{name}> says the same a second time", "take one away")
            seen.add(entry.value)


_SIDES: tuple[Callable[[Look], None], ...] = (
    *(_program, _working_directory, _file_names, _command_line, _unknown_macros, _environment),
    *(_numbers, _useless, _paths_in_vm, _input_in_vm, _said_twice),
)
