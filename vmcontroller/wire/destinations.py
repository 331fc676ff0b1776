"""The three destinations of a guest, and which login may use them (docs/reference/words.md, "Destinations")."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OUT = re.compile(r"/topic/(?P<prefix>[^/]+)\.(?P<group>[0-9a-z-]+)\.(?P<id>[0-9a-z-]+)\.out\Z")


def prefix_of(daemon: str) -> str:
    """Where one daemon's words live, so that several can share a broker."""
    return f"vmcontroller.{daemon}"


def host_reads(daemon: str) -> str:
    """What the daemon subscribes to: all that its guests say."""
    return f"/topic/{prefix_of(daemon)}.*.*.out"


def host_writes(daemon: str) -> str:
    """Everything that the daemon may send to."""
    return f"/topic/{prefix_of(daemon)}.#"


def to_group(daemon: str, group: str) -> str:
    """Where the host speaks to all guests of a group."""
    return f"/topic/{prefix_of(daemon)}.{group}.all"


@dataclass(frozen=True)
class GuestDestinations:
    """The three destinations of one guest."""

    daemon: str
    group: str
    id: str

    @property
    def inbox(self) -> str:
        """Host → this guest."""
        return f"/topic/{prefix_of(self.daemon)}.{self.group}.{self.id}.in"

    @property
    def everybody(self) -> str:
        """Host → every guest of its group."""
        return to_group(self.daemon, self.group)

    @property
    def outbox(self) -> str:
        """This guest → host."""
        return f"/topic/{prefix_of(self.daemon)}.{self.group}.{self.id}.out"


def speaker_of(daemon: str, destination: str) -> tuple[str, str] | None:
    """The group and the id of the guest that spoke on this destination, or None if no guest of ours may."""
    match = _OUT.match(destination)
    if match is None or match["prefix"] != prefix_of(daemon):
        return None
    return match["group"], match["id"]
