"""A look at a VM's console while it works: the screenshot as PNG, and drawn in the terminal with braille dots.

Knows the daemon's address file and two methods of its API. A terminal shows the shape of what is on the console;
to read it, open the PNG file.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import struct
import xmlrpc.client
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: The bits of a braille pattern, row by row: two dots wide, four high.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BLANK = 0x2800
COLUMNS = 90
BRIGHT = 96  # of 255, the mean of red, green and blue

Rows = list[list[bool]]


def screenshot(address: Path) -> bytes | None:
    """The console of the one VM that the daemon has, as PNG; None where its hypervisor has no console to show."""
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException, xmlrpc.client.Error):
        daemon: Any = xmlrpc.client.ServerProxy(json.loads(address.read_text(encoding="utf-8"))["url"])
        (vm,) = daemon.listVMs()
        return bytes(daemon.screenshot(vm).data)
    return None


def draw(png: bytes) -> Iterator[str]:
    """The picture in lines of braille; what is dark at the bottom is left out."""
    rows = shrunk(pixels(png))
    while rows and not any(rows[-1]):
        rows.pop()
    for top in range(0, len(rows), 4):
        block = rows[top : top + 4]
        yield "".join(character(block, left) for left in range(0, len(block[0]) - 1, 2)).rstrip(chr(BLANK))


def character(block: Rows, left: int) -> str:
    """Two columns of up to four rows."""
    dots = (DOTS[y][x] for y, row in enumerate(block) for x in (0, 1) if row[left + x])
    return chr(BLANK + sum(dots))


def shrunk(rows: Rows) -> Rows:
    """No wider than the dots of COLUMNS; a dot is bright where any of its pixels is."""
    factor = -(-len(rows[0]) // (2 * COLUMNS)) if rows else 1
    return [
        [any(any(row[x : x + factor]) for row in rows[y : y + factor]) for x in range(0, len(rows[0]), factor)]
        for y in range(0, len(rows), factor)
    ]


def pixels(png: bytes) -> Rows:
    """Which pixels are bright, row by row. Reads what hypervisors write: 8 bits a channel, RGB or RGBA, in one pass."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", dict(chunks(png))[b"IHDR"])
    if depth != 8 or kind not in (2, 6) or interlaced:
        raise ValueError("this kind of PNG is not drawn here")
    step = {2: 3, 6: 4}[kind]
    data = zlib.decompress(b"".join(body for name, body in chunks(png) if name == b"IDAT"))
    line, rows = bytes(width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        line = unfiltered(data[start], data[start + 1 : start + 1 + width * step], line, step)
        rows.append([sum(line[x : x + 3]) > 3 * BRIGHT for x in range(0, len(line), step)])
    return rows


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of a PNG file: name and content."""
    position = 8
    while position + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        yield name, png[position + 8 : position + 8 + length]
        position += length + 12


def unfiltered(how: int, line: bytes, above: bytes, step: int) -> bytes:
    """A row as it was before PNG's filter (PNG specification, chapter 9)."""
    plain = bytearray(line)
    for x, octet in enumerate(line):
        left = plain[x - step] if x >= step else 0
        corner = above[x - step] if x >= step else 0
        plain[x] = (octet + predicted(how, left, above[x], corner)) & 0xFF
    return bytes(plain)


def predicted(how: int, left: int, above: int, corner: int) -> int:
    """What the filter of this number takes an octet to be."""
    if how == 4:
        return min((left, above, corner), key=lambda neighbour: abs(left + above - corner - neighbour))
    return (0, left, above, (left + above) // 2)[how]
