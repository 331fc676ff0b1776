"""The file that describes a machine to VMware: lines of ``key = "value"``. No process is touched here."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.record import Record

NAME, DISK, SEED = "machine.vmx", "disk.vmdk", "seed.iso"
#: Where VMware notes the file with the memory of a suspended machine.
SAVED = "checkpoint.vmState"
#: VMware takes no other memory sizes than multiples of so many MB.
_MEMORY_STEP = 4
_LINE = re.compile(r'\s*([^#\s=]+)\s*=\s*"(.*)"\s*')


def mac_of(owner: str, vm: str) -> str:
    """The network card's address, in the range that VMware leaves to its users (00:50:56:00 to 3F)."""
    a, b, c = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:vmcontroller:machine:{owner}/{vm}").bytes[-3:]
    return f"00:50:56:{a & 0x3F:02X}:{b:02X}:{c:02X}"


def settings(record: Record) -> dict[str, str]:
    """What the machine has: one disk, the seed, one card on the host-only network, and nothing that leads out."""
    return {
        ".encoding": "UTF-8",
        "config.version": "8",
        "virtualHW.version": "12",
        "displayName": record.name,
        "vmcontroller.owner": record.owner,
        "vmcontroller.id": record.id,
        "guestOS": "other3xlinux-64",
        "memsize": str(record.memory_mb // _MEMORY_STEP * _MEMORY_STEP),
        "numvcpus": str(record.cpus),
        "nvram": "machine.nvram",
        "ide0:0.present": "TRUE",
        "ide0:0.fileName": DISK,
        "ide1:0.present": "TRUE",
        "ide1:0.deviceType": "cdrom-image",
        "ide1:0.fileName": SEED,
        "ethernet0.present": "TRUE",
        "ethernet0.virtualDev": "vmxnet3",
        "ethernet0.connectionType": "hostonly",
        "ethernet0.addressType": "static",
        "ethernet0.address": mac_of(record.owner, record.id),
        **_BRIDGES,
        **_QUIET,
        **_CLOSED,
    }


#: What the card is plugged into.
_BRIDGES = {
    "pciBridge0.present": "TRUE",
    "pciBridge4.present": "TRUE",
    "pciBridge4.virtualDev": "pcieRootPort",
    "pciBridge4.functions": "8",
}
#: Nobody is there to answer a dialogue, and the volunteer's own programs go first.
_QUIET = {
    "msg.autoAnswer": "TRUE",
    "uuid.action": "keep",
    "priority.grabbed": "low",
    "priority.ungrabbed": "low",
    "floppy0.present": "FALSE",
    "sound.present": "FALSE",
    "usb.present": "FALSE",
    "tools.syncTime": "FALSE",
}
#: What VMware Tools would share with the host.
_CLOSED = {
    "isolation.tools.hgfs.disable": "TRUE",
    "isolation.tools.copy.disable": "TRUE",
    "isolation.tools.paste.disable": "TRUE",
    "isolation.tools.dnd.disable": "TRUE",
}


def write(path: Path, values: dict[str, str]) -> None:
    """Write the file whole. OSError."""
    files.write(path, "".join(f'{key} = "{_quoted(value)}"\n' for key, value in values.items()))


def read(path: Path) -> dict[str, str]:
    """What stands in the file, VMware's own lines too. OSError."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {found[1]: _unquoted(found[2]) for line in lines if (found := _LINE.fullmatch(line))}


def _quoted(text: str) -> str:
    return "".join(f"|{ord(sign):02X}" if sign in '|"' else sign for sign in text)


def _unquoted(text: str) -> str:
    return re.sub(r"\|([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)
