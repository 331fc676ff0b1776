"""The image that the tests of VMs share: built once, and again only when what goes into it has changed.

It lies in build/vm-images, which git ignores; ``make clean`` removes it.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from vmcontroller.images import debian
from vmcontroller.images.debian import payload
from vmcontroller.images.shelf import Shelf

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "vm-images"


def shelf(name: str = "default", include: tuple[str, ...] = ()) -> Shelf:
    """A store in which the image has this name; built first, if need be, which takes a minute."""
    made, key = Shelf(PLACE), _key(include)
    if not made.hash_of(key):
        with made.draft("build") as draft:
            told = debian.build(debian.Order(include=include), draft, lambda step: None)
            made.add_built(draft)
        made.name(key, told.sha256)
    made.name(name, made.hash_of(key))
    return made


def _key(include: tuple[str, ...]) -> str:
    """A name that stands for the agent, for the way in which images are built, and for what they have besides."""
    digest = hashlib.sha256(" ".join(include).encode())
    with tempfile.TemporaryDirectory() as place:
        payload.write(Path(place) / "agent.tar")
        digest.update((Path(place) / "agent.tar").read_bytes())
    for source in sorted(Path(debian.__file__).parent.rglob("*")):
        if source.is_file() and source.suffix != ".pyc":
            digest.update(source.read_bytes())
    return f"built-{digest.hexdigest()[:16]}"
