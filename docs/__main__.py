"""Makes the reference pages that the code itself tells: ``make docs``. A test asserts that they are up to date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, cast

from job_xml import reference, schema
from vmcontroller import errors
from vmcontroller.api import Api
from vmcontroller.api.commands import CommandMethods
from vmcontroller.api.daemon import DaemonMethods
from vmcontroller.api.files import FileMethods
from vmcontroller.api.machines import MachineMethods
from vmcontroller.commands import OPEN, RECONCILIATION, Event, State, after
from vmcontroller.config import ENVIRONMENT_PREFIX, Config

ROOT = Path(__file__).parent.parent
MADE = "<!-- made by docs/__main__.py: change the docstrings, then run `make docs` -->\n"


def api_page() -> str:
    """Every XML-RPC method, family by family."""
    nothing = cast(Any, None)
    families = {
        "Virtual machines": MachineMethods(*[nothing] * 5),
        "Commands": CommandMethods(nothing, nothing, nothing, nothing),
        "Files": FileMethods(nothing, nothing, nothing, nothing),
        "Leases and the daemon": DaemonMethods(*[nothing] * 7),
    }
    api = Api(families.values())
    lines = [MADE, "# The XML-RPC API", "", *_API_INTRODUCTION.splitlines(), ""]
    for title, family in families.items():
        lines += [f"## {title}", ""]
        for name, _ in inspect.getmembers(family, inspect.ismethod):
            if not name.startswith("_"):
                lines += _method(api, name)
    lines += ["## What there is", ""]
    for name in ("help", "system.listMethods", "system.methodHelp", "system.methodSignature"):
        lines += _method(api, name)
    return "\n".join(lines)


_API_INTRODUCTION = """One face for the hypervisor and for the guests, from any language that has XML-RPC.

The URL and the secret stand in `daemon.json` in the state directory: `http://vmcontroller:SECRET@127.0.0.1:PORT/RPC2`
(HTTP Basic; any user name). A relative host path counts from the query's directory, `…/RPC2?cwd=/home/me`; without
one it counts from the daemon's own, or, if it is an image's, is refused. `vm` is a VM's name or id. Every fault has
[a code of its own](errors.md) and says what to do next.

Text that XML cannot hold (control characters, carriage returns, what is not UTF-8) travels as `base64`, integers past
32 bits as `<i8>`; there is no nil, "" stands for nothing. Where 2009 and 2010 had different names, both work.

A method that returns `True` has nothing else to tell: what its text says has happened, or, for `shutdown`, `reset`,
`signalCmd` and `killForeignCmd`, has been asked for and is not forgotten. What cannot be done is a fault, and `False`
is returned by `waitForVM` alone, when its time was up.

An integer may come as `<int>`, `<i8>` or a `double` that is whole: Python's `xmlrpc.client` refuses integers past
32 bits, so send an offset past 2 GiB as `3e9`. Where an integer is wanted, a double with a fraction is fault -32602.

## Units

Times are seconds, as doubles; moments are seconds since the epoch, of the host's clock (`timestamp`, `taken`) or of the
guest's (`started`). Sizes, lengths and offsets are octets; memoryMB counts MiB.

`limits`, where 0 is no limit: seconds of wall time, after which the command is ended (outcome `timedOut`), and in which
time that the VM stands still is not counted; cpuSeconds of processor time of each process, memoryBytes of its address
space, outputBytes of each stream. orphans, `kill` or `leave`, says what becomes of processes that outlive the command.

`left` counts the processes that outlived the command: they have been ended or, with orphans `leave`, run on.

`resources` are the fields of getrusage(2), those of all processes of the command together. While it runs, what /proc
does not tell is missing, and `processes` says how many there are.

| field | unit |
|---|---|
| ru_utime, ru_stime | seconds of processor time, of the program and of the kernel for it |
| ru_maxrss | KiB that the largest process had at its largest, never the sum. See below |
| ru_minflt, ru_majflt | page faults without and with a read from disk |
| ru_inblock, ru_oublock | reads and writes of disk, in blocks of 512 octets |
| ru_nvcsw, ru_nivcsw | times that it gave the processor up, and that it was taken away |
| the others | always 0 on Linux |

ru_maxrss of a command that has ended is never less than what the agent itself holds, some 30,000: a process begins in
its parent's memory, and Linux counts that. Only a larger figure says something of the command.

The forms of 2009 are taken: `env` as the text `'{}'`, `path` as the text `'None'`, `args` as a list, a tuple's text or
one string."""


def _method(api: Api, name: str) -> list[str]:
    signature, _, text = api.help(name).partition("\n\n")
    return [f"### `{signature}`", "", text, ""]


def errors_page() -> str:
    """Every fault code."""
    rows = [
        f"| {kind.code} | {name} | {(inspect.getdoc(kind) or '').splitlines()[0]} |"
        for name, kind in sorted(inspect.getmembers(errors, inspect.isclass), key=lambda pair: _code(pair[1]))
        if issubclass(kind, errors.VMControllerError)
    ]
    head = ["| code | name | meaning |", "|---|---|---|"]
    shared = [
        "| -32700 | parse error | The request is no XML-RPC call. |",
        "| -32601 | no method | There is no method of this name. |",
        "| -32602 | bad arguments | The method takes other arguments, in number or type. |",
        "| -32603 | internal error | Nobody foresaw this; daemon.log has the details. |",
    ]
    http = """
Before a call is read, HTTP answers:

| status | why |
|---|---|
| 400 | It is no HTTP/1.0 or 1.1, or its length is told wrongly or twice; the connection is closed. |
| 401 | The secret is missing or wrong. |
| 404 | The path is not `/RPC2`. |
| 405 | It is no POST. |
| 413 | The body is larger than `xmlrpc.max_body`; the connection is closed. |
| 415 | The Content-Type is not `text/xml`, or the body is compressed. |
| 421 | The Host header is missing or names another machine. |

What 401, 415 and 421 refuse is not stored, however large. A header of more than 16 KiB, and a caller that sends nothing
for 60 s in the middle of a request or between two, are cut off. Bodies in chunks are taken."""
    return "\n".join([MADE, "# Fault codes", "", *head, *rows, *shared, http, ""])


def _code(kind: Any) -> int:
    return int(getattr(kind, "code", 0))


def configuration_page() -> str:
    """Every setting."""
    lines = [MADE, "# Configuration", "", *_CONFIGURATION_INTRODUCTION.splitlines(), ""]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    for f in fields(Config):
        if "doc" in f.metadata:
            lines.append(_setting(f.name, f))
        else:
            lines += [_setting(f"{f.name}.{inner.name}", inner) for inner in fields(cast(Any, f.default_factory))]
    return "\n".join([*lines, ""])


_CONFIGURATION_INTRODUCTION = f"""Defaults, then a TOML file (`--config FILE`), then the environment, then the command
line (`--set key=value`). The variable of `broker.port` is `{ENVIRONMENT_PREFIX}BROKER_PORT`. An unknown key or a value
of the wrong type stops the daemon with a sentence that names file and key."""


def _setting(key: str, f: Any) -> str:
    default = "" if f.default is MISSING or f.default is None else f"`{f.default}`"
    return f"| `{key}` | {default} | {f.metadata['doc']} |"


def commands_page() -> str:
    """The states of a command, as a drawing and as a table."""
    arrows = {("asked", State.SENT.value, "runCmd")}
    for state in State:
        arrows |= {(state.value, after(state, event).value, event.name) for event in (Event.ACCEPTED, Event.REMOVED)}
        arrows |= {(state.value, out.value, "RESULT") for out in State if out not in OPEN and state in OPEN}
    drawn = sorted(f"    {a} --> {b} : {why}" for a, b, why in arrows if a != b)
    drawn += [
        f"    {state.value} --> {row.next.value} : HELLO, {row.deed.name}"
        for row in RECONCILIATION
        for state in sorted(row.states or ())
        if row.next is not None and row.next != state
    ]
    lines = [MADE, "# The states of a command", "", "```mermaid", "stateDiagram-v2", *drawn, "```", ""]
    lines += ["What a guest says in HELLO, held against the ledger; the first row that fits holds.", ""]
    lines += ["| the ledger says | the guest says | rolled back | then |", "|---|---|---|---|"]
    lines += [_row(row) for row in RECONCILIATION]
    return "\n".join([*lines, ""])


def _row(row: Any) -> str:
    states = "nothing" if row.states is None else ", ".join(s.value for s in State if s in row.states)
    seen = ", ".join(sorted(row.seen))
    rolled = {None: "either", True: "yes", False: "no"}[row.rolled_back]
    then = row.deed.value if row.next is None else f"{row.next.value}: {row.deed.value}"
    return f"| {states} | {seen} | {rolled} | {then} |"


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/api.md": api_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/configuration.md": configuration_page,
    "docs/reference/commands.md": commands_page,
    "docs/reference/job-xml.md": reference.page,
    "job_xml/schema/job.xsd": schema.document,
}


def main() -> int:
    """Write every page."""
    for path, make in PAGES.items():
        (ROOT / path).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
