"""What an image shall be made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

SUITE = "bookworm"
#: What the agent needs, what starts it, and what programs of projects are commonly linked to.
PACKAGES = (
    "busybox-static",
    *("python3", "python3-twisted", "python3-zope.interface", "python3-stomper", "python3-netifaces"),
    *("libstdc++6", "libgomp1", "bzip2", "xz-utils"),
)
#: The generic kernel: besides virtio it has what VirtualBox and VMware emulate. The smaller cloud kernel has no AHCI,
#: no LsiLogic and no e1000, and would boot in QEMU alone.
KERNEL = "linux-image-amd64"


def default_cache() -> Path:
    """Where packages are kept between two builds."""
    return user_cache_path("vmcontroller", appauthor=False) / "packages"


@dataclass(frozen=True)
class Order:
    """``include`` are more Debian packages; ``mirrors`` are lines of a sources.list, () for the system's own.

    ``disk_mb`` is the size that the guest sees, in MiB; what it does not use takes no room. ``cache`` is where packages
    are kept between two builds; None is the user's own place for that.
    """

    name: str = "default"
    include: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    disk_mb: int = 10 * 1024
    cache: Path | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """Everything that is asked for by name."""
        return (*PACKAGES, *(name for name in self.include if name not in PACKAGES))
