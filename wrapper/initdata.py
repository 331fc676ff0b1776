"""``init_data.xml``: what the BOINC client tells an application about its job.

The file is not always well-formed: the project's preferences stand in it raw, and blocks repeat names of the top
level. So it is searched, not parsed. It holds the account's key: nothing of it is ever copied into a VM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import unescape

from wrapper.files import read_text

FILENAME = "init_data.xml"
_BLOCKS = re.compile(r"<(project_preferences|host_info|proxy_info|global_preferences)>.*?</\1>", re.DOTALL)


@dataclass(frozen=True)
class InitData:
    """The fields that a wrapper uses; the defaults are those of a wrapper that runs without a client.

    ``checkpoint_period`` is in seconds, 0 where the user has no wish. ``gpu_device_num`` and ``process_priority``
    are -1 where the client says nothing.
    """

    project_dir: str = "."
    result_name: str = ""
    checkpoint_period: float = 0.0
    gpu_device_num: int = -1
    process_priority: int = -1
    no_priority_change: bool = False


def read(slot: Path) -> InitData | None:
    """What the slot's init_data.xml says, or None when there is none."""
    text = read_text(slot / FILENAME)
    return None if text is None else _parse(_BLOCKS.sub("", text))


def _parse(text: str) -> InitData:
    return InitData(
        project_dir=_tag(text, "project_dir") or ".",
        result_name=_tag(text, "result_name"),
        checkpoint_period=_number(text, "checkpoint_period", 0.0),
        gpu_device_num=int(_number(text, "gpu_device_num", -1)),
        process_priority=int(_number(text, "process_priority", -1)),
        no_priority_change=bool(re.search(r"<no_priority_change\s*/>", text) or _number(text, "no_priority_change", 0)),
    )


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return unescape(found[1].strip()) if found else ""


def _number(text: str, name: str, default: float) -> float:
    try:
        return float(_tag(text, name))
    except ValueError:
        return default
