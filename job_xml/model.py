"""What a job.xml says, as values that never change.

Nothing here reads a file or runs a program: ``job_xml.parse`` makes these values, the wrapper obeys them.
Text stands as the stock reader leaves it: stripped, unescaped, macros not yet replaced (``job_xml.commandline``).
Text that is not UTF-8 keeps its octets as surrogate escapes, so ``os.fsencode`` gives back what the file said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

#: MiB of memory that a VM gets when its job says nothing.
DEFAULT_MEMORY_MB = 512
#: Seconds between two checkpoints of a VM when its job says nothing: the 15 minutes of 2009.
DEFAULT_CHECKPOINT_INTERVAL = 900.0


class Kind(Enum):
    """Which of the three task elements a task was written as."""

    TASK = "task"
    UNZIP_TASK = "unzip_task"
    VM_MANAGE_TASK = "VMmanage_task"


@dataclass(frozen=True)
class VirtualMachine:
    """The VM that a task runs in, and what goes in and out of it.

    Tasks with the same ``label`` run in the same VM, one after the other; the reader sees to it that they agree
    about ``image``, ``memory_mb``, ``cpus``, ``network`` and ``permit_emulation``. All names of files are relative,
    use ``/`` and stay below the directory that they start from: the slot on the host, the served directory in the
    VM. They may start with ``./``, as they did in 2009.
    """

    #: What the job calls its VM; not the VM's name, which must be unique on the host.
    label: str
    #: Logical name of the disk image; "" is the hypervisor plugin's default image.
    image: str = ""
    #: The program's path in the VM; "" when it is the task's ``application``.
    app_path: str = ""
    #: Copy the application from the slot to the program's path in the VM.
    copy_app: bool = False
    #: Copy the task's ``stdin_filename`` from the slot into the VM under the same name.
    copy_stdin: bool = False
    #: Logical names to copy into the VM before the program starts, each under the same name.
    files_in: tuple[str, ...] = ()
    #: Names in the VM to copy back to the logical files of the same name when the program has ended.
    files_out: tuple[str, ...] = ()
    memory_mb: int = DEFAULT_MEMORY_MB
    #: 0: as many as the BOINC client gives the job (``--nthreads``), else 1.
    cpus: int = 0
    #: Whether the VM may reach the network.
    network: bool = False
    #: Seconds between two checkpoints; 0 takes one only when the job must stop.
    checkpoint_interval: float = DEFAULT_CHECKPOINT_INTERVAL
    #: Run even where the hypervisor has no acceleration and emulates the processor; without a client it always does.
    permit_emulation: bool = False


@dataclass(frozen=True)
class Task:
    """One program to run, on the host or, when ``vm`` is set, in a VM.

    ``line`` is where it starts in the file. The fields are the elements of the same name (docs/reference/job-xml.md);
    an element that is absent, or that the stock reader does not understand, leaves its default.
    """

    application: str = ""
    command_line: str = ""
    #: Append the wrapper's arguments that follow ``--passthrough_child`` to the command line.
    append_cmdline_args: bool = False
    #: In a VM: a file there, see ``VirtualMachine.copy_stdin``. On the host: a logical name.
    stdin_filename: str = ""
    #: Logical names; "" means as the stock wrapper does (output nowhere, errors to the wrapper's stderr).
    stdout_filename: str = ""
    stderr_filename: str = ""
    exec_dir: str = ""
    #: ``NAME=VALUE`` each. On the host any at all replaces the whole environment, as in the stock wrapper.
    setenv: tuple[str, ...] = ()
    #: On the host: a file in the slot whose change means a checkpoint. In a VM: the snapshot's name.
    checkpoint_filename: str = ""
    #: A file, in the slot or in the VM's served directory, whose last line is a number from 0 to 1.
    fraction_done_filename: str = ""
    weight: float = 1.0
    daemon: bool = False
    multi_process: bool = False
    #: Seconds of running time after which the task is ended and counts as successful; 0 for no limit.
    time_limit: float = 0.0
    #: 0 leaves it alone, 1 lowest, 2 low, 3 normal, 4 high, 5 highest.
    priority: int = 1
    forward_slashes: bool = False
    vm: VirtualMachine | None = None
    kind: Kind = Kind.TASK
    line: int = 0

    @property
    def program(self) -> str:
        """What to run: the path in the VM if the job gives one, else the application."""
        return self.vm.app_path if self.vm and self.vm.app_path else self.application


@dataclass(frozen=True)
class ZipOutput:
    """Pack new files of the slot into one archive when all tasks are done.

    ``zipfilename`` is a logical name; ``patterns`` are ECMAScript expressions, of which one must be found somewhere
    in a file's name (``job_xml.zipping``).
    """

    zipfilename: str
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A whole job.xml.

    ``tasks`` run one after the other in the file's order; ``daemons`` are those marked ``<daemon/>`` and run beside
    them. ``unzip_tasks`` (first, side by side, on the host) and ``vm_manage_tasks`` (beside the tasks, only if a
    remaining task has a VM) are those of 2009.
    """

    tasks: tuple[Task, ...] = ()
    daemons: tuple[Task, ...] = ()
    unzip_tasks: tuple[Task, ...] = ()
    vm_manage_tasks: tuple[Task, ...] = ()
    #: Logical names of archives to unpack into the slot on the first start.
    unzip_input: tuple[str, ...] = ()
    zip_output: ZipOutput | None = None
    graphics_support: bool = False

    def fraction_done(self, tasks_done: int, fraction_of_current: float = 0.0) -> float:
        """How much of the whole job is done, from 0 to 1, by the weights of its tasks.

        Weights that add up to nothing that can be divided by (the stock wrapper reports nan then) give 0.
        """
        weights = [task.weight for task in self.tasks]
        done = sum(weights[:tasks_done])
        if tasks_done < len(weights):
            done += weights[tasks_done] * fraction_of_current
        total = sum(weights)
        fraction = done / total if total else 0.0
        return min(max(fraction, 0.0), 1.0) if math.isfinite(fraction) else 0.0
