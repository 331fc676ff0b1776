"""What is done with a machine inside VirtualBox: made, started, stopped, removed, looked at (see worker.py)."""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.virtualbox import disks, tunnel
from vmcontroller.hypervisors.virtualbox.link import Link, vbox_text
from vmcontroller.hypervisors.virtualbox.worker import Steps

#: The mark on every machine of ours, among VirtualBox's extra data.
_MARK = "vmcontroller/owner"
_GROUP = "/VM Controller"
#: The type that VirtualBox's defaults are taken from.
_OS_TYPE = "Linux26_64"
_PAGE = 4096
#: What the process of a session that has none is called (NIL_RTPROCESS): as a signed number it would be everybody.
_NO_PROCESS = 2**32 - 1
_DRIVER = Path("/dev/vboxdrv")
_SAMPLE = re.compile(r'val="(\d+)".*? name="([^"]+)"')


@dataclass(frozen=True)
class Plan:
    """What a machine is made of. ``title`` is what VirtualBox calls it, ``home`` its directory."""

    uuid: str
    owner: str
    title: str
    description: str
    home: Path
    base: Path
    memory_mb: int
    cpus: int


def version(link: Link) -> str:
    """The version, as VirtualBox says it."""
    return vbox_text(link)


@dataclass(frozen=True)
class Abilities:
    """What VirtualBox can do on this host, and what it is, in words."""

    works: bool
    accelerated: bool
    words: str


def abilities(link: Link) -> Abilities:
    """Look for the kernel module, where its presence can be seen, and for hardware that it can use."""
    words = f"VirtualBox {vbox_text(link)}"
    if sys.platform == "linux" and not _DRIVER.exists():
        return Abilities(False, False, f"{words} lacks its kernel module; install it, such as with virtualbox-dkms")
    accelerated = bool(link.vbox.host.get_processor_feature(link.library.ProcessorFeature.hw_virt_ex))
    return Abilities(True, accelerated, words if accelerated else f"{words}, without the processor's help")


# -- looks


def states(link: Link, uuids: list[str]) -> dict[str, str | None]:
    """The machines' states in VirtualBox's words; None for one that it does not know."""
    return {uuid: _state(link, uuid) for uuid in uuids}


def _state(link: Link, uuid: str) -> str | None:
    machine = link.find(uuid)
    return link.state(machine) if machine is not None else None


def mac(link: Link, uuid: str) -> str:
    """The card's address, in pairs with colons."""
    digits = link.machine(uuid).get_network_adapter(0).mac_address
    return ":".join(re.findall("..", digits.upper()))


def screenshot(link: Link, uuid: str) -> bytes:
    """The screen of a running machine as PNG."""
    with link.running(uuid) as session:
        display = session.console.display
        width, height = display.get_screen_resolution(0)[:2]
        return bytes(display.take_screen_shot_to_array(0, width, height, link.library.BitmapFormat.png))


def stats(link: Link, uuid: str) -> dict[str, float]:
    """What a running machine uses: the time that its processors did not idle, and its memory on this host."""
    with link.running(uuid) as session:
        told = session.console.debugger.get_stats("/TM/CPU/*|/PGM/Page/*", False)
    samples = {name: int(value) for value, name in _SAMPLE.findall(told)}
    busy = sum(value for name, value in samples.items() if name.endswith(("/cNsExecuting", "/cNsOther")))
    pages = samples.get("/PGM/Page/cPrivatePages", 0) + samples.get("/PGM/Page/cSharedPages", 0)
    return {"cpuSeconds": busy / 1e9, "memoryBytes": float(pages * _PAGE)}


# -- machines come and go


def create(link: Link, plan: Plan) -> Steps:
    """Make a machine, wholly or not at all."""
    settings = plan.home / "machine.vbox"
    machine = link.shims.create_machine(str(settings), plan.title, [_GROUP], _OS_TYPE, f"UUID={plan.uuid}")
    _set_up(link, machine, plan)
    link.vbox.register_machine(machine)
    try:
        yield from disks.give(link, plan.uuid, plan.home, plan.base)
    except Exception:
        _strike_off(link, machine, plan.home)
        raise


def _set_up(link: Link, machine: Any, plan: Plan) -> None:
    machine.set_extra_data(_MARK, plan.owner)
    machine.description = plan.description
    machine.memory_size, machine.cpu_count = plan.memory_mb, plan.cpus
    machine.vm_process_priority = link.library.VMProcPriority.low
    machine.snapshot_folder = str(plan.home / "snapshots")
    _set_boot_order(link, machine)
    link.shims.clock_in_utc(machine)
    link.shims.with_io_apic(machine)
    link.shims.without_sound(machine)
    machine.add_storage_controller(disks.CONTROLLER, link.library.StorageBus.sata).port_count = 2
    tunnel.leave_out(link, machine)


def _set_boot_order(link: Link, machine: Any) -> None:
    kinds = link.library.DeviceType
    for position, kind in enumerate((kinds.hard_disk, kinds.null, kinds.null, kinds.null), 1):
        machine.set_boot_order(position, kind)


def adopt(link: Link, uuid: str, home: Path) -> bool:
    """Whether VirtualBox knows the machine; one that somebody struck off its list is put there again."""
    if link.find(uuid) is None and (home / "machine.vbox").exists():
        link.vbox.register_machine(link.shims.open_machine(str(home / "machine.vbox")))
    return link.find(uuid) is not None


def remove(link: Link, uuid: str, home: Path) -> Steps:
    """Stop a machine and strike it off VirtualBox's list, if it is there. Its files stay."""
    machine = link.find(uuid)
    if machine is None:
        return
    if not link.free(machine):
        yield from power_off(link, uuid)
    _strike_off(link, machine, home)


def _strike_off(link: Link, machine: Any, home: Path) -> None:
    modes = link.library.CleanupMode
    if not machine.accessible:
        machine.unregister(modes.unregister_only)
        return
    media = machine.unregister(modes.detach_all_return_hard_disks_only)
    disks.forget(link, home, media)


# -- verbs


def start(link: Link, uuid: str, ports: tunnel.Ports) -> Steps:
    """Run a machine without a window. Its card leads to ``ports``, its programs go on if it is Saved."""
    machine = link.machine(uuid)
    yield lambda: link.free(machine)
    with link.editing(uuid) as changed:
        tunnel.plug_in(link, changed, ports)
    session = link.session()
    try:
        yield machine.launch_vm_process(session, "headless", [])
    except HypervisorFailed as error:
        raise tunnel.explained(error) from None
    finally:
        link.release(session)


def power_off(link: Link, uuid: str) -> Steps:
    """Cut the power, whatever the machine is doing."""
    machine = link.machine(uuid)
    try:
        with link.running(uuid) as session:
            yield session.console.power_down()
    except (HypervisorFailed, link.library.VBoxError):
        _kill(machine)
    yield lambda: link.free(machine)


def _kill(machine: Any) -> None:
    """End the machine's process; for one that does not obey. While it has none, VirtualBox says 0 or 2**32 - 1."""
    if 0 < machine.session_pid < _NO_PROCESS:
        os.kill(machine.session_pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def press_button(link: Link, uuid: str) -> None:
    """ACPI's power button."""
    with link.running(uuid) as session:
        session.console.power_button()


def reset(link: Link, uuid: str) -> None:
    """The reset button."""
    with link.running(uuid) as session:
        session.console.reset()


def pause(link: Link, uuid: str) -> None:
    """Freeze it."""
    with link.running(uuid) as session:
        session.console.pause()


def resume(link: Link, uuid: str) -> None:
    """Let it go on."""
    with link.running(uuid) as session:
        session.console.resume()


def save(link: Link, uuid: str) -> Steps:
    """Put it away with its memory."""
    machine = link.machine(uuid)
    try:
        with link.running(uuid) as session:
            yield session.machine.save_state()
    except HypervisorFailed:
        yield lambda: link.ready(machine)
        # 7.2 now and then stumbles over the end of the machine's process, when all is saved.
        if link.state(machine) != "Saved":
            raise
    yield lambda: link.free(machine)


def discard(link: Link, uuid: str) -> Steps:
    """Throw its memory away."""
    machine = link.machine(uuid)
    yield lambda: link.free(machine)
    with link.editing(uuid) as changed:
        changed.discard_saved_state(True)


def cap(link: Link, uuid: str, percent: int) -> None:
    """Hold it to a share of its processors."""
    with link.changing(uuid) as machine:
        machine.cpu_execution_cap = percent
        machine.save_settings()
