"""The embedded broker beside RabbitMQ and ActiveMQ: throughput, fan-out, round trip, all with the same client.

Clients and broker share the machine's cores, so only what was measured in one run can be compared.
"""

from __future__ import annotations

import multiprocessing
import selectors
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.stomp_brokers import PEERS, DidNotStart, Peer, ours
from tests.bench.stomp_client import SECONDS, Client, Server
from tests.bench.table import Row

SIZE = 256
REPEATS = 5
MESSAGES, BROADCASTS, LISTENERS, TRIPS = 20_000, 1_000, 50, 2_000
_FORK = multiprocessing.get_context("fork")

Figures = dict[str, float]


def one_to_one(server: Server, count: int = MESSAGES, size: int = SIZE) -> Figures:
    """One sender in a process of its own, one listener: messages a second, each looked at."""
    listener = Client(server)
    listener.subscribe("/topic/one")
    with _speaker(server, "/topic/one", count, size) as go:
        started = go()
        for number in range(count):
            body = listener.expect(b"MESSAGE")
            if int(body[:10]) != number or len(body) != size:
                raise RuntimeError(f"{server.name}: message {number} is {body[:10]!r}")
        took = time.perf_counter() - started
    listener.close()
    return {"one": count / took}


def one_to_many(server: Server, listeners: int = LISTENERS, count: int = BROADCASTS) -> Figures:
    """One sender, many listeners in one process: deliveries a second."""
    clients = [Client(server) for _ in range(listeners)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.subscribe("/topic/many")
            selector.register(client.socket, selectors.EVENT_READ, client)
        with _speaker(server, "/topic/many", count, SIZE) as go:
            started = go()
            _hear_all(selector, listeners * count)
            took = time.perf_counter() - started
    for client in clients:
        client.close()
    return {"many": listeners * count / took}


def _hear_all(selector: selectors.BaseSelector, missing: int) -> None:
    while missing:
        ready = selector.select(SECONDS)
        if not ready:
            raise RuntimeError(f"{missing} deliveries did not come")
        for key, _ in ready:
            key.data.fill()
            while key.data.take() is not None:
                missing -= 1


def round_trip(server: Server, count: int = TRIPS) -> Figures:
    """There and back through an echo in a process of its own, one at a time: microseconds."""
    caller = Client(server)
    caller.subscribe("/topic/back")
    with _process(_echo, server, count):
        trips = sorted(_trip(caller) for _ in range(count))
    caller.close()
    return {"p50": trips[count // 2] * 1e6, "p99": trips[count * 99 // 100] * 1e6}


def _trip(caller: Client) -> float:
    started = time.perf_counter()
    caller.send("/topic/there", b"x" * SIZE)
    caller.expect(b"MESSAGE")
    return time.perf_counter() - started


# -- the other processes


def _echo(server: Server, count: int, ready: Callable[[], None]) -> None:
    client = Client(server)
    client.subscribe("/topic/there")
    ready()
    for _ in range(count):
        client.send("/topic/back", client.expect(b"MESSAGE"))
    client.close()


def _speak(server: Server, destination: str, count: int, size: int, ready: Callable[[], None], go) -> None:
    client, filling = Client(server), b"x" * (size - 10)
    ready()
    go.wait()
    for number in range(count):
        client.send(destination, b"%010d" % number + filling)
    client.close()


@contextmanager
def _process(work: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Work in a process of its own, from when it is ready until it is done."""
    ready = _FORK.Event()
    parameters = (*arguments[:4], ready.set, *arguments[4:])
    process = _FORK.Process(target=work, args=parameters, daemon=True)
    process.start()
    if not ready.wait(SECONDS):
        raise RuntimeError("the other side did not get ready")
    try:
        yield
        process.join(SECONDS)
    finally:
        process.kill()
        process.join()


@contextmanager
def _speaker(server: Server, destination: str, count: int, size: int) -> Iterator[Callable[[], float]]:
    """A sender that waits for the word; saying it gives the time."""
    signal = _FORK.Event()

    def go() -> float:
        signal.set()
        return time.perf_counter()

    with _process(_speak, server, destination, count, size, signal):
        yield go


# -- the table


@dataclass(frozen=True)
class Measure:
    """One figure of a broker, what we promise of it, and whether it keeps that beside RabbitMQ's."""

    key: str
    what: str
    unit: str
    promise: str
    kept: Callable[[float, float], bool] | None


MEASURES = (
    Measure("one", "broker 1→1", "msg/s", "≥ 30,000 and above RabbitMQ", lambda we, they: we >= 30_000 and we > they),
    Measure("many", "broker 1→50", "dlv/s", "≥ 60,000 and above RabbitMQ", lambda we, they: we >= 60_000 and we > they),
    Measure("p50", "broker round trip p50", "µs", "≤ RabbitMQ", lambda we, they: we <= they),
    Measure("p99", "broker round trip p99", "µs", "≤ RabbitMQ", lambda we, they: we <= they),
)


def figures(server: Server) -> Figures:
    """The median of several runs, after one that warms up."""
    runs = [one_to_one(server) | one_to_many(server) | round_trip(server) for _ in range(REPEATS + 1)][1:]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def growth(server: Server) -> list[Row]:
    """How our own figures change with the number of listeners and the size of the message."""
    rows = [
        Row(f"broker 1→{listeners}", "dlv/s", one_to_many(server, listeners, 10_000 // listeners)["many"])
        for listeners in (10, 200)
    ]
    for size, count in ((16, 20_000), (4_096, 10_000), (65_536, 2_000)):
        rate = one_to_one(server, count, size)["one"]
        rows.append(Row(f"broker 1→1, {size} octets", "MB/s", rate * size / 1e6))
    return rows


def run() -> list[Row]:
    """Our figures beside those of each peer that is installed."""
    with ours() as server:
        mine, grown = figures(server), growth(server)
    return [row for peer in PEERS for row in _beside(peer, mine)] + grown


def _beside(peer: Peer, mine: Figures) -> list[Row]:
    if not peer.installed():
        return _without(mine, f"{peer.name} (not installed: apt-get install {peer.package})")
    try:
        with peer.start() as server:
            theirs = figures(server)
    except DidNotStart as error:
        return _without(mine, str(error))
    return [_row(measure, peer.name, mine, theirs) for measure in MEASURES]


def _without(mine: Figures, why: str) -> list[Row]:
    return [Row(measure.what, measure.unit, mine[measure.key], why) for measure in MEASURES]


def _row(measure: Measure, peer: str, mine: Figures, theirs: Figures) -> Row:
    we, they = mine[measure.key], theirs[measure.key]
    if peer != "RabbitMQ":
        return Row(measure.what, measure.unit, we, peer, they)
    return Row(measure.what, measure.unit, we, peer, they, measure.promise, measure.kept(we, they))
