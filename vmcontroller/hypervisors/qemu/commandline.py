"""The hardware of a machine, as QEMU's command line. Every device is pinned: a saved state fits no other list.

The guest's network leads nowhere (restrict=on) but from the two forwards inwards. Whoever changes a device here
has to raise DEVICES.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from vmcontroller.hypervisors.common.relay import GUEST_PORTS
from vmcontroller.hypervisors.qemu.record import Record

#: The same on each host under emulation; with an accelerator the guest sees the host's processor.
CPUS = {"tcg": "Nehalem", "kvm": "host,migratable=on"}
#: The disk as QEMU's object tree calls it.
DISK = "/machine/peripheral/disk/virtio-backend"
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
#: Grows with each change of the list of devices below.
DEVICES = 1
_ACCELERATORS = {"tcg": "tcg,tb-size=256", "kvm": "kvm"}
_BARE = ("-nodefaults", "-no-user-config", "-display", "none")


def bare(accelerator: str, sandbox: bool) -> tuple[str, ...]:
    """What every QEMU of ours has: nothing that was not asked for."""
    return (*_BARE, *(SANDBOX if sandbox else ()), "-accel", _ACCELERATORS[accelerator])


def arguments(record: Record, layers: Sequence[int], accelerator: str) -> tuple[str, ...]:
    """The hardware of a machine; ``layers`` are those of its disk, the lowest first."""
    return (
        *("-S", "-M", record.board, "-cpu", CPUS[accelerator]),
        *("-m", str(record.memory_mb), "-smp", str(record.cpus)),
        *_kernel(record),
        *_drives(record, layers),
        *("-device", f"virtio-blk-pci,id=disk,drive={layer_node(layers[-1])},bootindex=1"),  # 0 is a -kernel's
        *("-device", "virtio-blk-pci,id=seed,drive=seed"),
        *("-netdev", _network(), "-device", f"virtio-net-pci,netdev=net,mac={record.mac},romfile="),
        *("-device", "VGA", "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci,free-page-reporting=on"),
        # What the guest says on its console stays in QEMU's memory, and is never more than this.
        *("-chardev", "ringbuf,id=console,size=65536", "-serial", "chardev:console"),
    )


def _kernel(record: Record) -> tuple[str, ...]:
    base = record.base
    return ("-kernel", base.kernel, "-initrd", base.initrd, "-append", base.arguments) if base.kernel else ()


def _network() -> str:
    # Port 0: QEMU takes free ones, so nobody can be quicker.
    return "user,id=net,restrict=on,ipv6=off," + ",".join(f"hostfwd=tcp:127.0.0.1:0-:{port}" for port in GUEST_PORTS)


def _drives(record: Record, layers: Sequence[int]) -> Iterator[str]:
    base = {"driver": record.base.format, "node-name": "base", "read-only": True}
    yield from _blockdev({**base, "file": {"driver": "file", "filename": record.base.path, "auto-read-only": True}})
    below = "base"
    for number in layers:
        yield from _blockdev(file_of_layer(number))
        yield from _blockdev({**layer(number, below), "read-only": number != layers[-1]})
        below = layer_node(number)
    seed = {"driver": "file", "filename": "seed.iso", "read-only": True}
    yield from _blockdev({"driver": "raw", "node-name": "seed", "read-only": True, "file": seed})


def _blockdev(options: dict[str, Any]) -> tuple[str, str]:
    return "-blockdev", json.dumps(options)


def layer_node(number: int) -> str:
    """What QEMU calls a layer."""
    return f"layer-{number}"


def file_node(number: int) -> str:
    """What QEMU calls a layer's file."""
    return f"file-{number}"


def file_of_layer(number: int) -> dict[str, Any]:
    """The file of a layer as a block node. QEMU's working directory is the machine's."""
    filename = f"disk/{number}.qcow2"
    return {"driver": "file", "node-name": file_node(number), "filename": filename, "auto-read-only": True}


def layer(number: int, below: str | None) -> dict[str, Any]:
    """A layer as a block node upon another; None: it will be put upon one."""
    return {"driver": "qcow2", "node-name": layer_node(number), "file": file_node(number), "backing": below}
