"""Copies of a file or of a whole directory, there and back.

A destination names what the copy will be called. When it is empty or ends in a slash, the copy goes into it under the
source's own name, and so does a file whose destination is a directory; a directory is copied over one that is there.
Each file arrives whole or not at all; a directory whose copying broke off holds the files that came before.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path

from vmcontroller.chirp.client import ChirpClient
from vmcontroller.chirp.couriers import courier
from vmcontroller.chirp.local import Item, Landing, check_item, check_name, survey
from vmcontroller.chirp.meter import Meter
from vmcontroller.chirp.sentences import about
from vmcontroller.errors import TransferFailed
from vmcontroller.wire.chirp import ChirpError, Number, Stat, stat_of


def put(client: ChirpClient, source: Path, destination: str, meter: Meter) -> None:
    """Copy a file or a directory into the guest."""
    with about(source):
        status = stat_of(os.stat(source))
    if not (status.is_directory() or status.is_file()):
        raise TransferFailed(f"{source}: it is neither a file nor a directory")
    with about(destination):
        destination = _name_in_guest(client, source, status, destination)
    if status.is_directory():
        _put_tree(client, source, destination, meter)
    else:
        meter.expect(status.size)
        courier(client, Landing(), meter).put(source, destination)
        client.settle()


def _name_in_guest(client: ChirpClient, source: Path, status: Stat, destination: str) -> str:
    into = destination in ("", ".") or destination.endswith("/")
    if into or (not status.is_directory() and client.is_directory(destination)):
        return posixpath.join(destination, os.path.basename(os.path.abspath(source)))
    return destination


def _put_tree(client: ChirpClient, source: Path, destination: str, meter: Meter) -> None:
    with about(source):
        items = survey(source)
    meter.expect(_octets(items))
    with about(destination):
        client.make_directory(destination, 0o755)
    for item, remote in _of_kind(items, Stat.is_directory, destination):
        with about(remote):
            client.make_directory(remote, item.status.mode & 0o777 | 0o700)
    carrier = courier(client, Landing(), meter)
    for item, remote in _of_kind(items, Stat.is_file, destination):
        carrier.put(source / item.name, remote)
    client.settle()
    for item, remote in _of_kind(items, Stat.is_link, destination):
        with about(remote):
            client.make_link(item.target, remote)


def get(client: ChirpClient, source: str, destination: Path, meter: Meter) -> None:
    """Copy a file or a directory out of the guest."""
    with about(source):
        status = client.stat(source)
        if not (status.is_directory() or status.is_file()):
            raise ChirpError(Number.IS_A_PIPE)
    if status.is_directory():
        _get_tree(client, source, destination, meter)
    else:
        meter.expect(status.size)
        landing = Landing()
        courier(client, landing, meter).get(source, _name_on_host(source, destination))
        client.settle()
        landing.settle()


def _name_on_host(source: str, destination: Path) -> Path:
    if not destination.is_dir():
        return destination
    name = posixpath.basename(source.rstrip("/"))
    check_name(name, source)
    return destination / name


def _get_tree(client: ChirpClient, source: str, destination: Path, meter: Meter) -> None:
    items = list(_below(client, source, ""))
    meter.expect(_octets(items))
    landing = Landing()
    with about(destination):
        destination.mkdir(exist_ok=True)
        for item, _ in _of_kind(items, Stat.is_directory, source):
            landing.directory(destination / item.name, item.status.mode & 0o777)
    carrier = courier(client, landing, meter)
    for item, remote in _of_kind(items, Stat.is_file, source):
        carrier.get(remote, destination / item.name)
    client.settle()
    with about(destination):
        # Last, so that nothing is written through them.
        for item, _ in _of_kind(items, Stat.is_link, source):
            landing.link(item.target, destination / item.name)
        landing.settle()


def _below(client: ChirpClient, top: str, prefix: str) -> Iterator[Item]:
    with about(posixpath.join(top, prefix)):
        entries = client.list(posixpath.join(top, prefix))
    for name, status in entries:
        path = posixpath.join(top, prefix, name)
        check_name(name, path)
        with about(path):
            target = client.read_link(path) if status.is_link() else ""
        yield check_item(Item(prefix + name, status, target), path)
        if status.is_directory():
            yield from _below(client, top, f"{prefix}{name}/")


def _of_kind(items: list[Item], kind: Callable[[Stat], bool], top: str) -> Iterator[tuple[Item, str]]:
    """The items of a kind, each with its path in the guest."""
    return ((item, posixpath.join(top, item.name)) for item in items if kind(item.status))


def _octets(items: list[Item]) -> int:
    return sum(item.status.size for item in items if item.status.is_file())
