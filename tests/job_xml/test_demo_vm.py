"""What the demo adds where its VM is a real one: an image that is built once, and a look at the console."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest

from job_xml.examples.demo import console, image
from job_xml.examples.demo.screen import Screen
from job_xml.examples.demo.stage import Stage
from job_xml.examples.demo.stop import Stop


def png(rows: list[list[int]], channels: int, how: int) -> bytes:
    """A picture of grey pixels, each row with the same of PNG's filters."""
    above, packed = bytes(len(rows[0]) * channels), b""
    for row in rows:
        line = bytes(value for grey in row for value in ([grey] * 3 + [255])[:channels])
        packed += bytes([how]) + filtered(line, above, channels, how)
        above = line
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(packed)[:7]),
        (b"IDAT", zlib.compress(packed)[7:]),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def filtered(line: bytes, above: bytes, step: int, how: int) -> bytes:
    left = bytes(step) + line
    corner = bytes(step) + above
    return bytes((line[x] - console.predicted(how, left[x], above[x], corner[x])) & 0xFF for x in range(len(line)))


@pytest.mark.parametrize("how", range(5))
@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_becomes_braille(channels: int, how: int) -> None:
    """Bright pixels are dots; what is dark at the right and at the bottom is left out."""
    rows = [[0] * 8 for _ in range(12)]
    rows[0][0] = rows[1][1] = rows[3][0] = rows[4][3] = 200
    rows[5][6] = 20
    assert list(console.draw(png(rows, channels, how))) == ["⡑", "⠀⠈"]


def test_a_wide_picture_is_shrunk() -> None:
    """A dot is bright where any of its pixels is."""
    rows = [[0] * 720 for _ in range(16)]
    rows[0][3] = rows[15][719] = 255
    lines = list(console.draw(png(rows, 3, 0)))
    assert [len(line) for line in lines] == [console.COLUMNS]
    assert (lines[0][0], lines[0][-1]) == ("⠁", "⢀")


def test_a_dark_screen_has_no_lines() -> None:
    """And another kind of PNG is refused."""
    assert list(console.draw(png([[0] * 4] * 4, 3, 0))) == []
    with pytest.raises(ValueError, match="not drawn"):
        console.pixels(png([[0] * 4] * 4, 3, 0).replace(b"\x08\x02\x00\x00\x00", b"\x08\x03\x00\x00\x00"))


def test_no_daemon_no_screenshot(tmp_path: Path) -> None:
    """It may have left, or its hypervisor may have no console."""
    assert console.screenshot(tmp_path / "daemon.json") is None
    (tmp_path / "daemon.json").write_text('{"url": "http://vmcontroller:x@127.0.0.1:9/RPC2"}')
    assert console.screenshot(tmp_path / "daemon.json") is None


def test_an_image_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is named default; every step is shown."""
    store = tmp_path / "vm" / "images"
    steps, out = [], io.StringIO()

    def build(command: list[str], stop: Stop, screen: Screen) -> None:
        steps.append(command[-3:])

    monkeypatch.setattr(image, "build", build)
    assert image.provide(tmp_path / "vm", Stop(), Screen(out, lambda: 0.0)) == store
    assert steps == [["--json", "image", "build"]]


def test_why_no_image_can_be_built() -> None:
    """The builder's last words."""
    out = io.StringIO()
    command = ["/bin/sh", "-c", "echo looking >&2; echo install mmdebstrap >&2; exit 1"]
    with pytest.raises(image.NoImage, match="no image could be built: install mmdebstrap"):
        image.build(command, Stop(), Screen(out, lambda: 0.0))
    assert "looking" in out.getvalue()


def test_a_stage_that_shares_images(tmp_path: Path) -> None:
    """The images are the daemon's, and stay when the stage is gone."""
    (tmp_path / "images").mkdir()
    with Stage("qemu") as stage:
        stage.share_images(tmp_path / "images")
        assert (stage.state / "images").is_dir()
        assert stage.environment()["VMCONTROLLER_HYPERVISOR"] == "qemu"
    assert (tmp_path / "images").is_dir()
