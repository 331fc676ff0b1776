"""``image build | list | verify | rm | adopt``: the images in the state directory. No daemon is asked or needed."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from vmcontroller.cli import codes
from vmcontroller.cli.drawing import progress_line
from vmcontroller.cli.interrupts import interruptible
from vmcontroller.cli.render import duration, size, table
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import UsageError, Verbs
from vmcontroller.errors import BadRequest, VMControllerError
from vmcontroller.images.shelf import DEFAULT, Entry, Shelf, check_name
from vmcontroller.images.verify import verify as verify_image
from vmcontroller.images.work import Work

IMAGES = "images"
SHOWN_DIGITS = 12


def declare(verbs: Verbs) -> None:
    """The verbs behind ``image``."""
    group = verbs.group("image", "build, list, verify and remove images that VMs are made from")
    building = group.add("build", build, "build a Debian guest with the agent inside")
    building.add_argument("--name", default=DEFAULT, help=f"its name in the store; {DEFAULT!r} is what VMs get")
    building.add_argument("--output", metavar="DIR/NAME", default="", help="make this directory, outside of the store")
    building.add_argument("--include", metavar="PACKAGE", action="append", default=[], help="a Debian package more")
    building.add_argument("--mirror", metavar="URL", default="", help="package source, instead of the system's own")
    building.add_argument("--disk", metavar="GB", type=int, default=10, help="size that the guest sees (10)")
    group.add("list", list_images, "show the images in the store")
    verifying = group.add("verify", verify, "read images again and hold them against their hashes")
    verifying.add_argument("images", metavar="IMAGE", nargs="*", help="name, hash or path; absent: all in the store")
    removing = group.add("rm", remove, "remove images that no VM uses")
    removing.add_argument("images", metavar="IMAGE", nargs="+", help="name or hash")
    adopting = group.add("adopt", adopt, "say what somebody else's image lacks, and write what installs the agent")
    adopting.add_argument("file", metavar="FILE", help="the image")
    adopting.add_argument("--output", metavar="DIR", default="", help="where to put user-data and its ISO image")


def _shelf(session: Session) -> Shelf:
    return Shelf(session.state_dir / IMAGES)


# -- build


def build(session: Session) -> None:
    """Build one into the store under its name, or into a directory of its own; its manifest is the result."""
    if sys.platform != "linux":
        raise UsageError("images are built on Linux; copy one here and name its path")
    arguments = session.arguments
    check_name(arguments.name)
    with interruptible(), _steps(session) as tell:
        directory, sha256 = _build_apart(session, tell) if arguments.output else _build_in_store(session, tell)
    octets = sum(path.stat().st_size for path in directory.iterdir())
    told = {"name": arguments.name, "sha256": sha256, "directory": str(directory), "octets": octets}
    session.show(told, f"{directory}: {size(octets)}, {sha256}")


def _build_in_store(session: Session, tell: Callable[[str], None]) -> tuple[Path, str]:
    shelf, name = _shelf(session), session.arguments.name
    session.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    shelf.sweep("build", lambda pid: Path(f"/proc/{pid}").exists())
    with shelf.draft("build") as draft:
        sha256 = _build(session, draft, tell)
        shelf.add_built(draft)
    shelf.rename(name, sha256)
    return shelf.directory / sha256, sha256


def _build_apart(session: Session, tell: Callable[[str], None]) -> tuple[Path, str]:
    target = Path(session.arguments.output).absolute()
    if target.exists():
        raise BadRequest(f"{target} exists already; name a directory that is to be made, or remove it")
    with Shelf(target.parent).draft(target.name) as draft:
        sha256 = _build(session, draft, tell)
        draft.rename(target)
    return target, sha256


def _build(session: Session, into: Path, tell: Callable[[str], None]) -> str:
    from vmcontroller.images.debian import Order, build, mirror  # noqa: PLC0415 — for this verb alone

    arguments = session.arguments
    mirrors = mirror(arguments.mirror) if arguments.mirror else ()
    order = Order(arguments.name, tuple(arguments.include), mirrors, arguments.disk * 1024)
    return build(order, into, tell).sha256


@contextmanager
def _steps(session: Session) -> Iterator[Callable[[str], None]]:
    """Says what is being done: on a terminal in one line, elsewhere in a line each."""
    begun, on_terminal = time.monotonic(), session.err.isatty()

    def tell(step: str) -> None:
        if on_terminal:
            width = shutil.get_terminal_size().columns - 1
            line = f"{duration(time.monotonic() - begun)}  {step}"[:width].ljust(width)
            print(f"\r{line}", end="", file=session.err, flush=True)
        else:
            session.say(step)

    try:
        yield tell
    finally:
        if on_terminal:
            print(file=session.err)


# -- list, verify, rm


def list_images(session: Session) -> None:
    """A line for each."""
    entries = _shelf(session).entries()
    told = [_told(entry) for entry in entries]
    head = ("NAME", "IMAGE", "FORMATS", "SIZE", "AGENT", "VMS")
    session.show(told, table(head, map(_row, entries)) if entries else "")


def _row(entry: Entry) -> tuple[str, ...]:
    agent = entry.manifest.agent if entry.manifest else "-"
    names, formats = ", ".join(entry.names) or "-", ", ".join(entry.formats)
    return names, entry.sha256[:SHOWN_DIGITS], formats, size(entry.octets), agent, str(len(entry.users))


def _told(entry: Entry) -> dict[str, object]:
    return {
        "names": entry.names,
        "sha256": entry.sha256,
        "formats": entry.formats,
        "octets": entry.octets,
        "agent": entry.manifest.agent if entry.manifest else "",
        "users": entry.users,
    }


def verify(session: Session) -> int:
    """A line for each; fails if one of them does."""
    shelf = _shelf(session)
    results = {}
    for which in session.arguments.images or [entry.sha256 for entry in shelf.entries()]:
        shown = which if which in session.arguments.images else which[:SHOWN_DIGITS]
        results[shown] = _verified(session, shelf, which)
    session.show(results, "\n".join(f"{which}: {result or 'ok'}" for which, result in results.items()))
    return codes.FAILED if any(results.values()) else codes.DONE


def _verified(session: Session, shelf: Shelf, which: str) -> str:
    """What is wrong with an image, or ""."""
    try:
        with progress_line(session) as draw:
            verify_image(shelf, which, Work(partial(draw, which)) if draw else Work())
    except VMControllerError as error:
        return str(error)
    return ""


def remove(session: Session) -> None:
    """Each in turn, until one cannot be removed."""
    shelf = _shelf(session)
    gone = [name for which in session.arguments.images for name in shelf.remove(which)]
    session.show({"removed": gone}, "")


# -- adopt


def adopt(session: Session) -> int:
    """What is there and what is missing, a line each; fails if VMs cannot be made from it as it is."""
    from vmcontroller.images import adopt  # noqa: PLC0415 — for this verb alone

    findings = adopt.look(Path(session.arguments.file))
    missing = [finding for finding in findings if not finding.ok]
    if session.arguments.output:
        adopt.write(Path(session.arguments.output))
    told = [{"ok": finding.ok, "what": finding.what, "remedy": finding.remedy} for finding in findings]
    session.show(told, "\n".join(finding.line() for finding in findings))
    return codes.FAILED if missing else codes.DONE
