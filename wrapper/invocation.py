"""What a task's elements make of a command: program, arguments, environment, directory.

On the host they mean what they mean to the stock wrapper. In a VM there are no soft links and no project directory:
logical names stand for themselves, and ``$PWD`` and ``$PROJECT_DIR`` are the directory that the command starts in.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from job_xml.commandline import Macros, application_path, resolve_phrases, resolve_words, split
from job_xml.model import Kind, Task
from wrapper.initdata import InitData
from wrapper.options import Options
from wrapper.task import Place

#: What <priority> means as a nice value: lowest, low, normal, high, highest.
_NICE = {1: 19, 2: 10, 3: 0, 4: -10, 5: -16}


@dataclass(frozen=True)
class Invocation:
    """A command, ready to run. ``environment`` None is the wrapper's own; ``directory`` "" is where tasks start."""

    program: str
    command_line: str
    environment: dict[str, str] | None
    directory: str

    @property
    def arguments(self) -> list[str]:
        """The words of the command line, as the stock wrapper splits it."""
        return split(self.command_line)


def on_host(task: Task, place: Place) -> Invocation:
    """The command for a program on the host. job_xml.commandline.Unclosed."""
    data, options = place.runtime.init_data, place.options
    macros = Macros(str(place.slot), data.project_dir, options.nthreads, _device(data, options))
    resolve = _resolver(task, place.runtime.resolve)
    command = _invocation(task, options, _program(task, place), macros, resolve)
    if place.of_2009 or task.kind is not Kind.TASK:
        command = replace(command, command_line=resolve_words(command.command_line, resolve))
    return command


def in_vm(task: Task, options: Options) -> Invocation:
    """The command for a program in a VM. job_xml.commandline.Unclosed."""
    cpus = (task.vm.cpus if task.vm else 0) or options.nthreads
    return _invocation(task, options, task.program, Macros(".", ".", cpus), lambda name: name)


def nice(priority: int, data: InitData) -> int | None:
    """The nice value that a program on the host gets, None to leave it alone. The client's wish goes first."""
    if data.no_priority_change:
        return None
    return _NICE.get(data.process_priority + 1 if data.process_priority >= 0 else priority)


def _invocation(
    task: Task, options: Options, program: str, macros: Macros, resolve: Callable[[str], str]
) -> Invocation:
    words = [macros.replace_in(task.command_line), *(options.passthrough if task.append_cmdline_args else ())]
    command_line = resolve_phrases(" ".join(words), resolve)
    pairs = [macros.replace_in(setting).partition("=") for setting in task.setenv]
    environment = {name: value for name, equals, value in pairs if name and equals}
    return Invocation(program, command_line, environment if task.setenv else None, macros.replace_in(task.exec_dir))


def _program(task: Task, place: Place) -> str:
    """Where the program is. The helpers of 2009 name programs of the host, too, such as tar."""
    runtime = place.runtime
    path = application_path(task.application, runtime.init_data.project_dir, runtime.resolve)
    if task.kind is Kind.TASK or (place.slot / path).exists():
        return path
    return shutil.which(path) or path


def _device(data: InitData, options: Options) -> int:
    return data.gpu_device_num if data.gpu_device_num >= 0 else options.device


def _resolver(task: Task, resolve: Callable[[str], str]) -> Callable[[str], str]:
    if os.name != "nt" or task.forward_slashes:
        return resolve
    return lambda name: resolve(name).replace("/", "\\")
