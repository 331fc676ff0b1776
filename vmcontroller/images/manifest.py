"""What is known of an image that was built: a JSON file beside it. docs/reference/images.md has every key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmcontroller.errors import ImageDamaged

FILE = "manifest.json"
KIND = "vmcontroller image"


@dataclass(frozen=True)
class Boot:
    """How the image is booted without its boot loader: the names of kernel and initrd, and the command line."""

    kernel: str
    initrd: str
    arguments: str


@dataclass(frozen=True)
class Manifest:
    """``sha256`` is that of the disk and names the image; ``files`` maps each file's name to its own hash.

    ``agent`` is the version of the agent inside, ``made_of`` what the image was built from.
    """

    sha256: str
    format: str
    virtual_bytes: int
    name: str = ""
    agent: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    boot: Boot | None = None
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def disk(self) -> str:
        """The name of the disk's file."""
        return f"disk.{self.format}"

    def text(self) -> str:
        """As it stands in the file."""
        boot = self.boot and {
            "kernel": self.boot.kernel,
            "initrd": self.boot.initrd,
            "arguments": self.boot.arguments,
        }
        told = {
            "kind": KIND,
            "name": self.name,
            "sha256": self.sha256,
            "format": self.format,
            "virtualBytes": self.virtual_bytes,
            "agent": self.agent,
            "boot": boot,
            "files": dict(self.files),
            "madeOf": dict(self.made_of),
        }
        return json.dumps(told, indent=1) + "\n"


def read(directory: Path) -> Manifest | None:
    """The manifest in a directory, or None where there is none of ours. ImageDamaged."""
    path = directory / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ImageDamaged(f"{path} cannot be read: {error}; get the image anew") from None
    if not isinstance(told, dict) or told.get("kind") != KIND:
        return None
    try:
        return _manifest(told)
    except (KeyError, TypeError, ValueError) as error:
        raise ImageDamaged(f"{path} lacks {error} or has a wrong value there; get the image anew") from None


def _manifest(told: dict[str, Any]) -> Manifest:
    return Manifest(
        str(told["sha256"]),
        str(told["format"]),
        int(told["virtualBytes"]),
        str(told["name"]),
        str(told["agent"]),
        {_plain(name): str(digits) for name, digits in told["files"].items()},
        _boot(told["boot"]),
        dict(told["madeOf"]),
    )


def _boot(told: dict[str, Any] | None) -> Boot | None:
    return Boot(_plain(told["kernel"]), _plain(told["initrd"]), str(told["arguments"])) if told else None


def _plain(name: object) -> str:
    """A file in the manifest's own directory."""
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise ValueError(f"a plain file name instead of {name!r}")
    return name
