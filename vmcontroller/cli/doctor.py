"""``doctor``: what is needed to run VMs, looked at piece by piece, each with what to do where it is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vmcontroller.cli import codes
from vmcontroller.cli.render import size
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import Verbs
from vmcontroller.client import Client
from vmcontroller.config import Config
from vmcontroller.errors import NotRunning, VMControllerError
from vmcontroller.interfaces import Suitability

OLDEST_PYTHON = (3, 11)
#: Module and distribution; what is imported only by some plugins is not among them.
MODULES = {
    "twisted": "twisted",
    "zope.interface": "zope.interface",
    "stomper": "stomper",
    "netifaces": "netifaces-plus",
    "lxml": "lxml",
    "cryptography": "cryptography",
    "platformdirs": "platformdirs",
    "pycdlib": "pycdlib",
}
SCARCE_DISK = 1024**3
AGENT_SECONDS = 20.0


@dataclass(frozen=True)
class Finding:
    """``level`` is ok, note (it need not be there), warn or fail; ``remedy`` is "" when nothing need be done."""

    level: str
    what: str
    remedy: str = ""


def declare(verbs: Verbs) -> None:
    """The verb."""
    verbs.add("doctor", doctor, "look at everything that is needed, and say what to do where it is missing")


def doctor(session: Session) -> int:
    """A line for each finding, its remedy below it. Fails if one of them does; it starts no daemon."""
    findings = list(_findings(session))
    session.show([asdict(finding) for finding in findings], "\n".join([*map(_lines, findings), "", _sum(findings)]))
    return codes.FAILED if any(finding.level == "fail" for finding in findings) else codes.DONE


def _lines(finding: Finding) -> str:
    line = f"{finding.level:<5} {finding.what}"
    return f"{line}\n      -> {finding.remedy}" if finding.remedy else line


def _sum(findings: Sequence[Finding]) -> str:
    bad, odd = (sum(finding.level == level for finding in findings) for level in ("fail", "warn"))
    if bad:
        return f"VMs cannot be run before what is marked fail has been mended ({bad})"
    return f"VMs can be run; what is marked warn is worth a look ({odd})" if odd else "VMs can be run; all is well"


def _findings(session: Session) -> Iterator[Finding]:
    yield python(sys.version_info[:3])
    missing = packages(_is_importable)
    yield missing
    try:
        home = session.state_dir
    except VMControllerError as error:
        yield Finding("fail", str(error), "name a directory of yours with --state-dir")
        return
    place = state_directory(home)
    yield place
    if place.level != "fail":
        yield disk(shutil.disk_usage(_existing(home)).free, home)
    if missing.level == "ok":
        from vmcontroller.hypervisors.examine import examine  # noqa: PLC0415 — it needs the packages that may be missing

        yield from hypervisors({one.name: one.suitability for one in examine(home)})
    yield agent([sys.executable, "-m", "vmcontroller_guest", "--help"])
    yield from _daemon(session)


def python(version: tuple[int, ...]) -> Finding:
    """The interpreter is new enough."""
    what = f"Python {'.'.join(map(str, version))}"
    if version >= OLDEST_PYTHON:
        return Finding("ok", what)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding("fail", what, f"install Python {oldest} or newer, from your system's packages or from python.org")


def packages(is_importable: Callable[[str], bool]) -> Finding:
    """Everything that is imported is there."""
    missing = [name for module, name in MODULES.items() if not is_importable(module)]
    if not missing:
        return Finding("ok", "all packages are installed")
    remedy = f"{sys.executable} -m pip install {' '.join(missing)}"
    return Finding("fail", f"Python packages are missing: {', '.join(missing)}", remedy)


def hypervisors(found: Mapping[str, Suitability]) -> Iterator[Finding]:
    """At least one can be used; each says how well, or what it needs."""
    others = "note" if any(suitability.works for suitability in found.values()) else "fail"
    for name, suitability in found.items():
        verdict = "can be used" if suitability.works else "cannot be used"
        yield Finding("ok" if suitability.works else others, f"the hypervisor {name!r} {verdict}: {suitability.reason}")


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def state_directory(home: Path) -> Finding:
    """Directories can be made in it, and only its owner can look into it."""
    try:
        os.rmdir(tempfile.mkdtemp(dir=_existing(home)))
    except OSError:
        remedy = "choose another with --state-dir, or for good with the environment variable VMCONTROLLER_STATE_DIR"
        return Finding("fail", f"the state directory {home} cannot be written", remedy)
    if os.name == "posix" and home.exists() and stat.S_IMODE(home.stat().st_mode) & 0o077:
        return Finding("warn", f"other users can look into the state directory {home}", f"chmod 700 {home}")
    return Finding("ok", f"the state directory is {home}")


def disk(free: int, home: Path) -> Finding:
    """There is room for what VMs write."""
    what = f"{size(free)} are free on the disk of the state directory"
    elsewhere = f"remove what you do not need there, or choose another disk with --state-dir ({home} is on this one)"
    if free < (least := Config().min_free_disk):
        return Finding("fail", what, f"below {size(least)} commands cannot go on: {elsewhere}")
    return Finding("warn", what, f"VMs may need more: {elsewhere}") if free < SCARCE_DISK else Finding("ok", what)


def agent(command: list[str]) -> Finding:
    """The guest agent can be started on this machine."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=AGENT_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("fail", f"the guest agent does not start: {error}", "install vmcontroller again")
    if done.returncode == 0:
        return Finding("ok", "the guest agent starts")
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return Finding("fail", f"the guest agent does not start: {last}", "install vmcontroller again")


def _daemon(session: Session) -> Iterator[Finding]:
    try:
        api = session.connect()
    except NotRunning:
        what = "no daemon runs, so its VMs were not looked at"
        remedy = "vmcontroller daemon --background starts one, and so does every verb that needs one"
        yield Finding("warn", what, remedy)
        return
    except VMControllerError as error:
        yield Finding("fail", str(error))
        return
    with api:
        yield Finding("ok", f"a daemon answers at port {api.address.port} (pid {api.address.pid})")
        yield hypervisor(api)
        yield from guests(api)


def hypervisor(api: Client) -> Finding:
    """The hypervisor answers the daemon."""
    try:
        info = api.call("getInfo")
        api.call("listVMsWithState")
    except VMControllerError as error:
        return Finding(
            "fail", f"the hypervisor does not answer: {error}", "the end of daemon.log in the state directory says more"
        )
    return Finding("ok", f"hypervisor {info['hypervisor']} {info['hypervisorVersion']}")


def guests(api: Client) -> Iterator[Finding]:
    """Every VM that runs has an agent that answers."""
    running, alive = set(api.call("listRunningVMs")), set(api.call("listRegisteredVMs"))
    for vm in sorted(running - alive):
        remedy = f"vmcontroller stop --hard {vm}, then vmcontroller start {vm}; the agent's log in the VM says more"
        yield Finding("warn", f"{vm} runs, but its agent does not answer", remedy)
    if running and not running - alive:
        yield Finding("ok", f"the agents of all {len(running)} running VMs answer")
