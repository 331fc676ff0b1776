"""The VM that a task asks for. Here nothing is let pass: a job that is unclear about its VM does not start.

The stock wrapper knows none of these elements, so there is no old behaviour to keep; the files of 2009 are read as
they were meant, with the elements that they left empty taken as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from job_xml.elements import Type
from job_xml.model import Kind, Task, VirtualMachine
from job_xml.names import is_own_file, outside, plain
from job_xml.outline import Block, Entry, did_you_mean, fields_of
from job_xml.problems import Problems, shown

#: What a VM is made with; tasks with one label must agree on it.
SHAPE = ("image", "memory_mb", "cpus", "network", "permit_emulation")

_LABEL = re.compile(r"[^\x00-\x1f\x7f/\\*?\[\]]{1,64}\Z")
_ON_THE_HOST = ("stdout_filename", "stderr_filename")
_IN_BOTH = ("stdin_filename", "fraction_done_filename")
#: Elements whose files the wrapper writes into the slot.
_WRITTEN = (*_ON_THE_HOST, "fraction_done_filename", "copy_file_from_VM")


def machine(block: Block, task: Task, problems: Problems) -> VirtualMachine | None:
    """The VM that a block asks for, or None. What is wrong with it is refused, in ``problems``."""
    said = [entry for entry in block.entries if entry.element.of_vm and entry.value != ""]
    label = next((entry for entry in reversed(said) if entry.element.name == "virtualmachine"), None)
    if label is None:
        _refuse_without_vm(block, said, problems)
        return None
    if block.name != Kind.TASK.value:
        what = f"a <{block.name}> runs on the host, and this one has a <virtualmachine>"
        problems.refuse(label.line, what, "make it a <task>, or take the VM away")
        return None
    vm = VirtualMachine(**fields_of(said))
    _Check(block, replace(task, vm=vm), vm, label.line, problems).all()
    return vm


def share(blocks: Iterable[Block], tasks: Iterable[Task], problems: Problems) -> tuple[Task, ...]:
    """The tasks, those with the same label with the same VM: what one of them says of it holds for all of them."""
    shapes: dict[str, dict[str, Entry]] = {}
    pairs = list(zip(blocks, tasks, strict=True))
    for block, task in pairs:
        if task.vm:
            _agree(shapes.setdefault(task.vm.label, {}), block, problems)
    return tuple(_shaped(task, shapes) for _, task in pairs)


def _agree(shape: dict[str, Entry], block: Block, problems: Problems) -> None:
    for entry in block.entries:
        if entry.element.field not in SHAPE or entry.value == "":
            continue
        earlier = shape.setdefault(entry.element.field, entry)
        if earlier.value != entry.value:
            what = f"<{entry.element.name}> contradicts line {earlier.line}, where the same VM has another"
            problems.refuse(entry.line, what, "write the same, or give this task a <virtualmachine> of its own")


def _shaped(task: Task, shapes: dict[str, dict[str, Entry]]) -> Task:
    if not task.vm:
        return task
    values: dict[str, Any] = {name: entry.value for name, entry in shapes[task.vm.label].items()}
    return replace(task, vm=replace(task.vm, **values))


def _refuse_without_vm(block: Block, said: Iterable[Entry], problems: Problems) -> None:
    about_vm = [entry for entry in said if entry.element.type is not Type.SWITCH or entry.value]
    if about_vm and "virtualmachine" in block.misspelt:
        _refuse_misspelt(block, "virtualmachine", problems)
        return
    for entry in about_vm:
        what = f"<{entry.element.name}> is about a VM, and this task has no <virtualmachine>"
        problems.refuse(entry.line, what, "name one, or take the element away")


def _refuse_misspelt(block: Block, name: str, problems: Problems) -> None:
    token = block.misspelt[name]
    what = f"<{shown(token.name)[1:-1]}> is no element of <{block.name}>, and <{name}> is missing"
    problems.refuse(token.line, what, did_you_mean(name))


@dataclass(frozen=True)
class _Check:
    """All that must hold for one task with a VM."""

    block: Block
    task: Task
    vm: VirtualMachine
    line: int
    problems: Problems = field(repr=False)

    def all(self) -> None:
        self._place()
        self._label()
        self._ranges()
        for line, element, name in self._file_names():
            self._stays_inside(line, element, name)
        self._program()
        self._input()
        self._output()

    def _refuse(self, line: int, what: str, remedy: str) -> None:
        self.problems.refuse(line, what, remedy)

    def _refuse_missing(self, name: str, line: int, what: str, remedy: str) -> None:
        """An element is missing; one that is misspelt is told instead."""
        if name in self.block.misspelt:
            _refuse_misspelt(self.block, name, self.problems)
        else:
            self._refuse(line, what, remedy)

    def _place(self) -> None:
        if self.task.daemon:
            what = "a task is either a <daemon> or has a <virtualmachine>, and this one is both"
            self._refuse(self._line_of("daemon"), what, "take one of the two away")

    def _label(self) -> None:
        if not _LABEL.match(self.vm.label):
            what = f"<virtualmachine> is {shown(self.vm.label)}"
            self._refuse(self.line, what, "write 1 to 64 characters, none of / \\ * ? [ ]")

    def _ranges(self) -> None:
        for entry in self.block.entries:
            limits = entry.element.range
            if not entry.element.of_vm or limits is None or not isinstance(entry.value, (int, float)):
                continue
            if not math.isfinite(entry.value) or not limits[0] <= entry.value <= limits[1]:
                what = f"<{entry.element.name}> is {entry.value}"
                self._refuse(entry.line, what, f"write {entry.element.expected()}")

    def _file_names(self) -> Iterator[tuple[int, str, str]]:
        """Every name of a file that must stay inside the slot or the served directory."""
        names = [*_ON_THE_HOST, *_IN_BOTH, *(["application", "app_pathVM"] if self.vm.copy_app else [])]
        for entry in self.block.entries:
            of_vm_file = entry.element.of_vm and entry.element.type is Type.NAME
            if (of_vm_file or entry.element.name in names) and entry.value:
                yield entry.line, entry.element.name, str(entry.value)

    def _stays_inside(self, line: int, element: str, name: str) -> None:
        reason = outside(name)
        if reason:
            what = f"<{element}> is {shown(name)}, which {reason}"
            self._refuse(line, what, "write the name of a file in the slot, with / between its parts")

    def _program(self) -> None:
        if not self.task.program:
            what = "this task does not say what to run in its VM"
            self._refuse_missing("application", self.block.line, what, "write <application>")
        elif self.vm.copy_app and not self.task.application:
            what, remedy = "<copy_app_to_VM> has no application to copy", "write <application>, or take it away"
            self._refuse_missing("application", self._line_of("copy_app_to_VM"), what, remedy)

    def _input(self) -> None:
        if self.vm.copy_stdin and not self.task.stdin_filename:
            what, remedy = "<copy_stdin_to_VM> has no <stdin_filename> to copy", "write it, or take this away"
            self._refuse_missing("stdin_filename", self._line_of("copy_stdin_to_VM"), what, remedy)

    def _output(self) -> None:
        streams = {plain(self.task.stdout_filename), plain(self.task.stderr_filename)} - {""}
        for entry in self.block.every("copy_file_from_VM"):
            if plain(str(entry.value)) in streams:
                what = f"<copy_file_from_VM> would overwrite {shown(str(entry.value))}, where the output goes"
                self._refuse(entry.line, what, "give one of the two another name")
        for name in _WRITTEN:
            for entry in self.block.every(name):
                if is_own_file(str(entry.value)):
                    what = f"<{name}> would overwrite BOINC's own file {shown(str(entry.value))}"
                    self._refuse(entry.line, what, "give the file another name")

    def _line_of(self, name: str) -> int:
        entry = self.block.last(name)
        return entry.line if entry else self.block.line
