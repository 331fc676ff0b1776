"""The forms in which callers since 2009 give the arguments of runCmd, and the one form that we go on with.

The wrapper of 2009 sends ``env`` as the text '{}', ``path`` as the text 'None', and all its arguments as one string
in a list; others send tuples' texts, numbers among the arguments, or JSON.
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Mapping
from typing import Any

from vmcontroller.errors import BadRequest


def whole(value: Any) -> Any:
    """An integer for a double that is whole, anything else as it is: Python's client has no integers past 2 GiB."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def limits(value: Any) -> dict[str, Any]:
    """The limits of a command: a struct of numbers."""
    if not isinstance(value, Mapping):
        raise BadRequest(f"runCmd: the option limits must be a struct, not {value!r}")
    return {name: whole(number) for name, number in value.items()}


def arguments(value: Any) -> tuple[str, ...]:
    """The arguments of a command: a list of text or numbers, its text in Python's or JSON's form, or one string."""
    if isinstance(value, str):
        parsed = _literal(value)
        value = parsed if isinstance(parsed, (list, tuple)) else [value] if value else []
    if not isinstance(value, (list, tuple)):
        raise BadRequest(f"runCmd: args must be a list of text, not {value!r}")
    return tuple(_text(item) for item in value)


def _text(item: Any) -> str:
    if isinstance(item, bytes):
        return item.decode("utf-8", "surrogateescape")
    if isinstance(item, (str, int, float)) and not isinstance(item, bool):
        return str(item)
    raise BadRequest(f"runCmd: each argument must be text, not {item!r}")


def environment(value: Any) -> dict[str, str]:
    """The environment: a struct of text, or its text in Python's or JSON's form."""
    if isinstance(value, str):
        value = _literal(value) if value else {}
    if not isinstance(value, Mapping):
        raise BadRequest(f"runCmd: env must be a struct of text, not {value!r}")
    found = {_text(key): _text(item) for key, item in value.items()}
    for name, text in found.items():
        if not name or "=" in name or "\0" in name + text:
            raise BadRequest(f"runCmd: {name!r} cannot be a variable of the environment")
    return found


def _literal(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def path(value: str) -> str:
    """The working directory: 'None' is the text that 2009's wrapper sends for none."""
    return "" if value == "None" else value


def stdin(file: str, option: Any) -> dict[str, str]:
    """Where input comes from, as the words say it: a file in the guest, 'stream', inline octets, or nothing."""
    if option in ("", None):
        return {"kind": "file", "name": file} if file and file != "None" else {"kind": "none"}
    if file:
        raise BadRequest("runCmd: fileForStdin and the option stdin exclude each other")
    if option == "stream":
        return {"kind": "stream"}
    if isinstance(option, (str, bytes)):
        octets = option.encode() if isinstance(option, str) else option
        return {"kind": "inline", "data": base64.b64encode(octets).decode("ascii")}
    raise BadRequest(f"runCmd: the option stdin must be 'stream' or the input itself, not {option!r}")
