"""Paths of the host in a call: where a relative one counts from."""

from __future__ import annotations

import os
from pathlib import Path

from vmcontroller.errors import BadRequest


def host_path(path: str, cwd: str) -> Path:
    """A path of the host; a relative one counts from ``cwd``, or else from the daemon's own directory. BadRequest."""
    if not path or "\0" in path:
        raise BadRequest("the path of a file on the host is missing")
    base = Path(cwd) if cwd else Path.cwd()
    if cwd and not base.is_absolute():
        raise BadRequest(f"cwd in the URL must be an absolute path, not {cwd!r}")
    return Path(os.path.normpath(base / path))


def image_path(image: str, cwd: str) -> str:
    """The path of an image; a relative one counts from ``cwd`` and, as VMs outlive daemons, from nothing else."""
    if not cwd and not os.path.isabs(image):
        raise BadRequest(
            f"createVM: {image!r} is no image's name in the store, and as a path it is relative; give an absolute one,"
            " or append ?cwd= and the directory that it counts from to the URL"
        )
    return str(host_path(image, cwd))
