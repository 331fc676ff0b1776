"""What is done to the layers of a disk that a running QEMU has open; nothing here decides when.

QEMU knows each layer and its file as block nodes whose names hold the layer's number (commandline.py).
"""

from __future__ import annotations

import re

from vmcontroller.errors import HypervisorFailed
from vmcontroller.hypervisors.qemu import commandline
from vmcontroller.hypervisors.qemu.commandline import file_node, layer_node
from vmcontroller.hypervisors.qemu.qmp import Monitor

_NODE = re.compile(r"(?:layer|file)-([0-9]+)\Z")
_JOB = "merge"


async def open_layer(monitor: Monitor, number: int) -> None:
    """Let QEMU open an empty layer that shall be put upon the one that is written on."""
    await monitor.execute("blockdev-add", **commandline.file_of_layer(number))
    await monitor.execute("blockdev-add", **commandline.layer(number, below=None))


async def close_layer(monitor: Monitor, number: int) -> None:
    """Let QEMU close a layer that belongs to no disk."""
    for node in (layer_node(number), file_node(number)):
        await monitor.execute("blockdev-del", node_name=node)


async def close_quietly(monitor: Monitor, number: int) -> None:
    """Let QEMU close a layer, if it has it open."""
    try:
        await close_layer(monitor, number)
    except HypervisorFailed:
        pass  # It was not open, or QEMU has ended.


async def freeze(monitor: Monitor, lower: int, upper: int) -> None:
    """From now on the guest writes on the layer ``upper``, and ``lower`` stays as it is."""
    await monitor.execute("blockdev-snapshot", node=layer_node(lower), overlay=layer_node(upper))


async def written(monitor: Monitor) -> int:
    """The layer that the guest writes on."""
    for drive in await monitor.execute("query-block"):
        found = _NODE.match(drive.get("inserted", {}).get("node-name", ""))
        if drive.get("qdev") == commandline.DISK and found:
            return int(found[1])
    raise HypervisorFailed("QEMU has no disk of ours; switch the machine off, and start it anew")


async def opened(monitor: Monitor) -> set[int]:
    """The layers that QEMU has open, whether they belong to the disk or not."""
    nodes = await monitor.execute("query-named-block-nodes", flat=True)
    return {int(found[1]) for node in nodes if (found := _NODE.match(node["node-name"]))}


async def merge(monitor: Monitor, written_on: int, lower: int, upper: int) -> None:
    """Put the data of one frozen layer down into the one below it, and take it out of the chain."""
    outcome = await monitor.execute_until(
        "BLOCK_JOB_COMPLETED",
        lambda data: bool(data["device"] == _JOB),
        "block-commit",
        job_id=_JOB,
        device=layer_node(written_on),
        top_node=layer_node(upper),
        base_node=layer_node(lower),
        backing_file=f"{lower}.qcow2",
    )
    while await monitor.execute("query-jobs"):
        pass  # It lets go of the layers a moment later.
    if "error" in outcome:
        raise HypervisorFailed(f"QEMU could not merge the layers {lower} and {upper}: {outcome['error']}")
    await close_layer(monitor, upper)
