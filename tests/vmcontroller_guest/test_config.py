"""The agent's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcontroller.errors import BadConfiguration
from vmcontroller_guest import config
from vmcontroller_guest.config import Settings, load


@pytest.fixture(autouse=True)
def _no_file_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "nothing.toml")


def test_defaults() -> None:
    """Those of a real VM: fixed ports, on every address."""
    settings = load([])
    assert (settings.door_port, settings.chirp_port, settings.listen, settings.ports_fd) == (61614, 9094, "", None)


def test_the_command_line() -> None:
    """Relative directories become absolute: the agent's commands run elsewhere."""
    line = "--seed s.json --state st --serve sv --listen 127.0.0.1 --door-port 0 --chirp-port 0 --ports-fd 5"
    settings = load(line.split())
    here = Path.cwd()
    assert settings == Settings(Path("s.json"), here / "st", here / "sv", "127.0.0.1", 0, 0, 5)


def test_a_file_and_the_command_line(tmp_path: Path) -> None:
    """The command line goes before the file."""
    path = tmp_path / "guest.toml"
    path.write_text('state = "/a"\nlisten = "10.0.0.1"\ndoor_port = 1\nlogin = "me"\npasscode = "p"\nseed = "/s"\n')
    settings = load(["--config", str(path), "--state", "/b"])
    assert (settings.state, settings.listen, settings.door_port) == (Path("/b"), "10.0.0.1", 1)
    assert (settings.login, settings.passcode, settings.seed) == ("me", "p", Path("/s"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour = 1", "colour is no setting; there are broker, chirp_port"),
        ('door_port = "x"', "door_port is 'x'; it must be a whole number"),
        ("door_port = true", "door_port is True"),
        ("login = 5", "login is 5; it must be text"),
        ("state = 5", "state is 5; it must be a path"),
        ("= 5", "not TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "guest.toml"
    path.write_text(text)
    with pytest.raises(BadConfiguration, match=why):
        load(["--config", str(path)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="name another file with --config"):
        load(["--config", str(tmp_path / "missing.toml")])
