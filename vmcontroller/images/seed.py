"""Writes the seed of a VM: a small ISO image with what docs/reference/seed.md says, for its owner's eyes alone."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LABEL, FILE = "VMCSEED", "SEED.JSON"


def write(path: Path, seed: Mapping[str, Any]) -> None:
    """Put the seed on an ISO 9660 image; whoever reads ``path`` finds it whole, or what was there before. OSError."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(octets(seed))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def octets(seed: Mapping[str, Any]) -> bytes:
    """The image."""
    from pycdlib import PyCdlib  # noqa: PLC0415 — slow to import, and wanted only where a VM is made

    text = json.dumps(dict(seed)).encode()
    iso, image = PyCdlib(), io.BytesIO()
    iso.new(interchange_level=3, vol_ident=LABEL)
    iso.add_fp(io.BytesIO(text), len(text), f"/{FILE};1")
    iso.write_fp(image)
    iso.close()
    return image.getvalue()
