"""How much one client may ask of the broker, and for how long it may keep it waiting."""

from __future__ import annotations

from dataclasses import dataclass

from vmcontroller.wire.session import HeartBeats
from vmcontroller.wire.stomp import FrameLimits


@dataclass(frozen=True)
class Limits:
    """Bounds, in octets and seconds. Whoever breaks one is told which, and loses his connection.

    connect_time        from the connection to CONNECT
    frame_time          of silence in the middle of a frame
    stall_time          in which a consumer that has a backlog takes nothing
    linger              for the last words to be read, before the connection is cut
    heart_beats         how often the broker can send one, and how often it wants one
    subscriptions       of one connection
    destination         octets of its name
    backlog_messages, backlog_octets     that wait for one consumer
    hold                octets waiting for a consumer from which on those who send to it are not read from
    unacknowledged      messages that one subscription may hold
    queues              that hold messages
    queue_messages, queue_octets         in one queue
    """

    frame: FrameLimits = FrameLimits()
    connect_time: float = 10.0
    frame_time: float = 30.0
    stall_time: float = 30.0
    linger: float = 2.0
    heart_beats: HeartBeats = HeartBeats(1.0, 10.0)
    subscriptions: int = 256
    destination: int = 255
    backlog_messages: int = 50_000
    backlog_octets: int = 16 * 1024 * 1024
    hold: int = 256 * 1024
    unacknowledged: int = 1_000
    queues: int = 1_000
    queue_messages: int = 50_000
    queue_octets: int = 64 * 1024 * 1024
