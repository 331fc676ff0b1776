"""A machine's disks: its own one, which holds only what differs from the image, and the seed as a CD.

VirtualBox never writes on the parent of a differencing disk, and it is never asked to delete a file: of what it
gives back when a machine goes, the image may be part. Files go with the machine's directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vmcontroller.errors import BadImage
from vmcontroller.hypervisors.virtualbox.link import Link, sentence
from vmcontroller.hypervisors.virtualbox.worker import Steps

CONTROLLER = "SATA"
_DISK, _SEED = 0, 1


def give(link: Link, uuid: str, home: Path, base: Path) -> Steps:
    """Attach a new disk upon ``base`` and the seed, both in the machine's directory."""
    kinds, library = link.library.DeviceType, link.library
    parent = _opened(link, base)
    disk = link.vbox.create_medium("VDI", str(home / "disk.vdi"), library.AccessMode.read_write, kinds.hard_disk)
    yield parent.create_diff_storage(disk, [library.MediumVariant.standard])
    seed = link.vbox.open_medium(str(home / "seed.iso"), kinds.dvd, library.AccessMode.read_only, False)
    with link.editing(uuid) as machine:
        machine.attach_device(CONTROLLER, _DISK, 0, kinds.hard_disk, disk)
        machine.attach_device(CONTROLLER, _SEED, 0, kinds.dvd, seed)


def _opened(link: Link, base: Path) -> Any:
    library = link.library
    try:
        return link.vbox.open_medium(str(base), library.DeviceType.hard_disk, library.AccessMode.read_only, False)
    except library.VBoxError as error:
        raise BadImage(
            f"VirtualBox does not take the image {base}: {sentence(error)}; if it is a copy of one that VirtualBox"
            " knows already, use that one"
        ) from None


def forget(link: Link, home: Path, media: Iterable[Any]) -> None:
    """Strike media of a machine that is gone off VirtualBox's list, and the image if nobody else uses it."""
    known = [*sorted(media, key=_depth, reverse=True), *link.vbox.dvd_images]
    ours = [medium for medium in known if Path(medium.location).is_relative_to(home)]
    parents = [medium.parent for medium in ours]
    images = {medium.id_p: medium for medium in parents if _there(medium) and _depth(medium) == 0}
    for medium in ours:
        medium.close()
    for image in images.values():
        if not image.children and not image.machine_ids:
            image.close()


def _depth(medium: Any) -> int:
    parent = medium.parent
    return 1 + _depth(parent) if _there(parent) else 0


def _there(medium: Any) -> bool:
    """pyvbox wraps "no medium", too."""
    return medium is not None and medium._i is not None
