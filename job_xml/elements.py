"""The one table of what may stand in a job.xml.

The reader, the checker, the reference page and the schema are all made from it. The stock wrapper's elements and their
rules are those of TASK::parse and parse_job_file in BOINC's samples/wrapper/wrapper.cpp, those of 2009 are the tags of
samples/vm_wrapper/VMwrapper.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from job_xml.stock import LONG_ROOM, SHORT_ROOM

_ANY = float("inf")


class Type(Enum):
    """How an element's content is read; the value is what to write."""

    TEXT = "text"
    NAME = "the name of a file"
    FLAG = "<{name}/> or an integer, where 0 is false"
    SWITCH = "<{name}/>, 1 or 0"
    INTEGER = "an integer"
    NUMBER = "a number"


class Source(StrEnum):
    """Who brought an element into the world."""

    STOCK = "stock wrapper"
    OF_2009 = "2009"
    NEW = "VM Controller"


@dataclass(frozen=True)
class Element:
    """One element and where its value goes: ``field`` of Task, or of VirtualMachine for one that is ``of_vm``.

    An element of a VM is read strictly: what is wrong with it ends the job before anything starts. ``room`` is what
    the stock parser has for the text, ``range`` the values that make sense, ``in_vm`` what differs in a VM.
    """

    name: str
    type: Type
    field: str
    meaning: str
    source: Source = Source.STOCK
    of_vm: bool = False
    repeats: bool = False
    room: int = LONG_ROOM
    range: tuple[float, float] | None = None
    in_vm: str = ""

    def expected(self) -> str:
        """What to write: the type, and the range if there is one."""
        text = self.type.value.format(name=self.name)
        if self.range is None:
            return text
        least, most = self.range
        return f"{text} from {least:.0f} on" if most == _ANY else f"{text} from {least:.0f} to {most:.0f}"


def table(*elements: Element) -> Mapping[str, Element]:
    """Elements by their names, in the order of the reference page."""
    return {element.name: element for element in elements}


TASK = table(
    Element(
        "application",
        Type.TEXT,
        "application",
        "The program: a logical name, resolved through BOINC's soft links. `$PROJECT_DIR` at the start is replaced, and"
        " no other macro.",
        in_vm="With `copy_app_to_VM` a logical name of the slot; without it the program's path or name in the VM.",
    ),
    Element(
        "command_line",
        Type.TEXT,
        "command_line",
        "The program's arguments. Macros and `boinc_resolve(NAME)` are replaced, then it is split at white space;"
        " `'…'` and `\"…\"` hold a word together where a word starts with them. No shell sees it. At most 8191 octets,"
        " and 4095 octets and 255 words when all is replaced.",
        room=SHORT_ROOM,
        in_vm="Macros are replaced on the host, before it is sent.",
    ),
    Element(
        "append_cmdline_args",
        Type.FLAG,
        "append_cmdline_args",
        "Append the wrapper's own arguments that follow `--passthrough_child`.",
    ),
    Element(
        "stdin_filename",
        Type.NAME,
        "stdin_filename",
        "Logical name of the file that is the program's standard input.",
        in_vm="A file in the VM's served directory; `copy_stdin_to_VM` or `copy_file_to_VM` brings it there.",
    ),
    Element(
        "stdout_filename",
        Type.NAME,
        "stdout_filename",
        "Logical name of the file that standard output is appended to. Without it output is thrown away.",
        in_vm="On the host, as ever; written while the program runs.",
    ),
    Element(
        "stderr_filename",
        Type.NAME,
        "stderr_filename",
        "Logical name of the file that standard error is appended to. Without it errors go to the wrapper's"
        " `stderr.txt`.",
        in_vm="On the host, as ever; written while the program runs.",
    ),
    Element(
        "exec_dir",
        Type.TEXT,
        "exec_dir",
        "Directory to run in; macros are replaced. On Unix the program is looked for from there, so it must be an"
        " absolute path or start with `$PROJECT_DIR`. At most 8191 octets.",
        room=SHORT_ROOM,
        in_vm="A directory in the VM; without it the served directory, where the copied files are.",
    ),
    Element(
        "setenv",
        Type.TEXT,
        "setenv",
        "`NAME=VALUE` for the program's environment; macros are replaced. If there is any, the environment is these"
        " alone: no `PATH`, no `HOME`. At most 8191 octets.",
        repeats=True,
        room=SHORT_ROOM,
        in_vm="Laid over the environment that programs in the VM have.",
    ),
    Element(
        "checkpoint_filename",
        Type.TEXT,
        "checkpoint_filename",
        "A file in the slot; each time that it changes, the program has made a checkpoint.",
        in_vm="The name of the snapshots that are the VM's checkpoints.",
    ),
    Element(
        "fraction_done_filename",
        Type.NAME,
        "fraction_done_filename",
        "A file in the slot, removed when the task starts, whose last line is how much of the task is done, from 0"
        " to 1.",
        in_vm="The file is in the VM's served directory.",
    ),
    Element(
        "weight",
        Type.NUMBER,
        "weight",
        "The task's share of the whole job, beside the weights of the other tasks.",
        range=(0, _ANY),
    ),
    Element(
        "daemon",
        Type.FLAG,
        "daemon",
        "Start it before the tasks, let it run beside them, end it after the last one. How it ends does not matter.",
        in_vm="Not allowed.",
    ),
    Element(
        "multi_process",
        Type.FLAG,
        "multi_process",
        "Suspend and resume all its descendants, not the program alone.",
        in_vm="No effect: all of the VM is suspended.",
    ),
    Element(
        "time_limit",
        Type.NUMBER,
        "time_limit",
        "Seconds of running time, counted anew at each start, after which the task is ended and counts as successful;"
        " 0 is no limit.",
        range=(0, _ANY),
    ),
    Element(
        "priority",
        Type.INTEGER,
        "priority",
        "0 leaves it as it is, 1 is the lowest, 2 low, 3 normal, 4 high, 5 the highest. The client's own setting wins.",
        range=(0, 5),
        in_vm="No effect.",
    ),
    Element(
        "forward_slashes",
        Type.FLAG,
        "forward_slashes",
        "On Windows `boinc_resolve(NAME)` gives `/` and not `\\`.",
        in_vm="No effect.",
    ),
    Element(
        "virtualmachine",
        Type.TEXT,
        "label",
        "Run the task in a VM, and what the job calls that VM: 1 to 64 characters, none of `/ \\ * ? [ ]`. Tasks with"
        " the same label use the same VM, one after the other. Empty or absent: run on the host.",
        source=Source.OF_2009,
        of_vm=True,
    ),
    Element(
        "image",
        Type.NAME,
        "image",
        "Logical name of the VM's disk image; it is never written to. Empty or absent: the hypervisor's default image.",
        source=Source.OF_2009,
        of_vm=True,
    ),
    Element(
        "app_pathVM",
        Type.TEXT,
        "app_path",
        "The program's path in the VM, where that is not `application`. With `copy_app_to_VM` it is relative to the"
        " served directory.",
        source=Source.OF_2009,
        of_vm=True,
    ),
    Element(
        "copy_app_to_VM",
        Type.SWITCH,
        "copy_app",
        "Copy the application from the slot into the VM first.",
        source=Source.OF_2009,
        of_vm=True,
    ),
    Element(
        "copy_file_to_VM",
        Type.NAME,
        "files_in",
        "Logical name of a file to copy into the VM first, under the same name.",
        source=Source.OF_2009,
        of_vm=True,
        repeats=True,
    ),
    Element(
        "copy_stdin_to_VM",
        Type.SWITCH,
        "copy_stdin",
        "Copy `stdin_filename` into the VM first.",
        source=Source.OF_2009,
        of_vm=True,
    ),
    Element(
        "copy_file_from_VM",
        Type.NAME,
        "files_out",
        "Name of a file in the VM to copy back, to the logical name that is the same, when the program has ended.",
        source=Source.OF_2009,
        of_vm=True,
        repeats=True,
    ),
    Element(
        "memory_mb",
        Type.INTEGER,
        "memory_mb",
        "The VM's memory in MiB.",
        source=Source.NEW,
        of_vm=True,
        range=(16, 1048576),
    ),
    Element(
        "cpus",
        Type.INTEGER,
        "cpus",
        "The VM's processors; 0 is as many as the client gives the job (`--nthreads`), else 1.",
        source=Source.NEW,
        of_vm=True,
        range=(0, 256),
    ),
    Element(
        "network",
        Type.SWITCH,
        "network",
        "Let the VM reach the network. Files and results need none.",
        source=Source.NEW,
        of_vm=True,
    ),
    Element(
        "checkpoint_interval",
        Type.NUMBER,
        "checkpoint_interval",
        "Seconds between two checkpoints of the VM; 0 makes one only when the job has to stop. The client's own"
        " setting wins where it is longer.",
        source=Source.NEW,
        of_vm=True,
        range=(0, 31536000),
    ),
    Element(
        "permit_emulation",
        Type.SWITCH,
        "permit_emulation",
        "Run also where the hypervisor has no acceleration and the VM is many times slower. Without a BOINC client,"
        " where a job is tried out, it always does.",
        source=Source.NEW,
        of_vm=True,
    ),
)

UNZIP_INPUT = table(
    Element(
        "zipfilename",
        Type.NAME,
        "zipfilename",
        "Logical name of an archive to unpack into the slot on the first start; its link is removed then.",
        repeats=True,
    ),
)

ZIP_OUTPUT = table(
    Element("zipfilename", Type.NAME, "zipfilename", "Logical name of the archive to make when all tasks are done."),
    Element(
        "filename",
        Type.TEXT,
        "patterns",
        "A regular expression (ECMAScript). A file that was not in the slot at the first start goes into the archive"
        " if one of them is found anywhere in its name.",
        repeats=True,
    ),
)


@dataclass(frozen=True)
class Group:
    """An element of job_desc that holds others."""

    name: str
    members: Mapping[str, Element]
    meaning: str
    source: Source = Source.STOCK


GROUPS = {
    group.name: group
    for group in (
        Group("task", TASK, "One program to run. Tasks run one after the other, in the order of the file."),
        Group("unzip_input", UNZIP_INPUT, "Archives to unpack before the first task."),
        Group("zip_output", ZIP_OUTPUT, "An archive to make after the last task. Only one can be made."),
        Group(
            "unzip_task",
            TASK,
            "Run on the host before all else, all of them side by side; they have 60 seconds.",
            Source.OF_2009,
        ),
        Group(
            "VMmanage_task",
            TASK,
            "Run on the host beside the tasks, as long as a task with a VM is left: brokers and daemons of their own,"
            " as in 2009. No job needs one any more.",
            Source.OF_2009,
        ),
    )
}

JOB = table(
    Element(
        "enable_graphics_support",
        Type.FLAG,
        "graphics_support",
        "Write `graphics_status.xml` each second, for a screen saver.",
    ),
)
