"""The reference page of all elements, made from their table and the model's defaults, so that it cannot go stale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from job_xml.elements import GROUPS, JOB, TASK, Element, Group, Source, Type
from job_xml.model import Task, VirtualMachine

_INTRODUCTION = """\
# job.xml

<!-- Made by `job-xml doc`; change job_xml/elements.py or job_xml/reference.py instead. -->

What a project sends with its work to say what is run, and where: `job.xml` in the slot directory. It is the file of
BOINC's own wrapper, with the elements that tasks in VMs need. [How to check one](../how-to/check-a-job.md).

```xml
<job_desc>
    <task>
        <virtualmachine>worker</virtualmachine>
        <application>simulate</application>
        <copy_app_to_VM/>
        <command_line>--events 1000</command_line>
        <copy_file_from_VM>result.root</copy_file_from_VM>
    </task>
</job_desc>
```

A file without `<virtualmachine>` does what it does under the stock wrapper. What that one passes over is passed over
here too, with a warning in `stderr.txt`; what is wrong with a VM stops the job before anything is started.
"""

_NAMES_IN_VM = """\
All of them need `<virtualmachine>`. Names of files are relative, with `/` between their parts. One name stands for a
file of the slot and for its copy in the VM's served directory, which is where the program starts.
"""

_RULES = """\
## How it is read

By the stock wrapper's rules, not by XML's, where the two differ:

* A file is octets, and text is UTF-8. What an XML declaration says of the encoding does not count.
* Text is stripped of white space at both ends. `&lt; &gt; &amp; &quot; &apos;` and `&#65;` (decimal, up to 127) are
  replaced, any other `&` stays as it is. CDATA is taken as it stands.
* A flag is `<x/>`, or an integer where 0 is false. `<x></x>` and `<x>true</x>` are ignored.
* An integer may be octal (`010` is 8) or hexadecimal (`0x10` is 16); those of a VM are decimal. An empty number is 0. A
  number with anything else behind it is ignored.
* Attributes are ignored, but an attribute with a `/` in it hides its element.
* An unknown element is ignored, what stands inside it is not. Of an element that should come once the last one counts.
* No byte order mark, no document type; `<?xml …?>` may come first. What follows `</job_desc>` is not read.
* A file has at most 1 MiB.

A task's VM is read strictly: a wrong type, a value out of range, the name of a file that could leave its directory, an
output into a file that BOINC or the wrapper keeps there, or two elements that contradict each other end the job with
exit code 144. A text element of a VM that is empty is absent.
"""

_MACROS = """\
## Macros

In `command_line`, `exec_dir` and `setenv` these are replaced, in this order, wherever they stand:

| macro | stands for |
|---|---|
| `$PROJECT_DIR` | the project's directory; `.` without a client |
| `$NTHREADS` | the option `--nthreads`, or 1 |
| `$GPU_DEVICE_NUM` | the device that the client assigned, or the option `--device`; else it stays |
| `$PWD` | the slot directory |
| `boinc_resolve(NAME)` | in `command_line` only: where the logical name leads |
"""

_EXIT_CODES = """\
## Exit codes

| code | when |
|---|---|
| 148 | there is no job.xml, or it cannot be opened |
| 144 | it is no job.xml, or something is wrong with a VM in it |
| 1 | a `<filename>` of `<zip_output>` is no regular expression |
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_INTRODUCTION, "## In `<job_desc>`\n", _top()]
    parts += ["## In `<task>`\n", *_tasks()]
    parts += ["## In `<unzip_input>`\n", _table(GROUPS["unzip_input"].members.values())]
    parts += ["## In `<zip_output>`\n", _table(GROUPS["zip_output"].members.values())]
    return "\n".join([*parts, _MACROS, _RULES, _EXIT_CODES])


def _top() -> str:
    rows = [(f"`{group.name}`", "elements", f"{_from(group)}{_cell(group.meaning)}") for group in GROUPS.values()]
    rows += [(f"`{e.name}`", _cell(_type(e)), f"{_from(e)}{_cell(e.meaning)}") for e in JOB.values()]
    return _rows(("element", "holds", "meaning"), rows)


def _tasks() -> list[str]:
    stock = [element for element in TASK.values() if not element.of_vm]
    of_vm = [element for element in TASK.values() if element.of_vm]
    return [
        _table(stock),
        "### What is different in a VM\n",
        _rows(("element", "in a VM"), [(f"`{e.name}`", _cell(e.in_vm)) for e in stock if e.in_vm]),
        "### The VM\n",
        _NAMES_IN_VM,
        _table(of_vm),
    ]


def _table(elements: Iterable[Element]) -> str:
    rows = [(f"`{e.name}`", _cell(_type(e)), _default(e), _from(e) + _cell(e.meaning)) for e in elements]
    return _rows(("element", "type", "default", "meaning"), rows)


def _type(element: Element) -> str:
    text = {Type.FLAG: "flag", Type.SWITCH: "0 or 1"}.get(element.type) or element.expected()
    return f"{text}, any number of times" if element.repeats else text


def _from(element: Element | Group) -> str:
    return "" if element.source is Source.STOCK else f"({element.source.value}) "


def _default(element: Element) -> str:
    defaults = {f.name: f.default for kind in (VirtualMachine, Task) for f in fields(kind)}
    value = defaults.get(element.field)
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, (int, float)) else ""


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
