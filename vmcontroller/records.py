"""What the ledger keeps of commands and guests, as values. What follows from them is decided elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vmcontroller.commands import OUTCOMES, State


@dataclass(frozen=True)
class Request:
    """What the caller of runCmd asked for. ``limits`` and ``stdin`` in the form of the words' JSON."""

    to: str
    cmd: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    stdin: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    replay: bool = False

    def text(self) -> str:
        """The request as JSON, the same for equal requests."""
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Request:
        """The request from its JSON."""
        values = json.loads(text)
        return cls(**{**values, "args": tuple(values["args"])})


@dataclass(frozen=True)
class Command:
    """A command as it was asked. ``asked`` is in seconds since the epoch."""

    cmd_id: str
    asked: float
    request: Request
    read: bool
    stdin_closed: bool


@dataclass(frozen=True)
class Part:
    """A command at one VM. ``result`` is what CMD_RESULTS said, also while output is still under way."""

    cmd_id: str
    vm: str
    name: str
    state: State
    result: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """It has an outcome."""
        return self.state in OUTCOMES


@dataclass(frozen=True)
class GuestRecord:
    """What the host keeps of a guest. ``restored``: it was restored by the host since it last joined."""

    vm: str
    name: str
    group: str
    secret: str
    chirp_key: str
    session: int
    journal: str
    restored: bool


#: A part's cmd_id, the state that it moves to, and its result, if it has one then.
Move = tuple[str, State, Mapping[str, Any]]
