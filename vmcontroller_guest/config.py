"""The agent's settings: defaults, then a TOML file, then the command line; parsed once, into frozen values."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vmcontroller.errors import BadConfiguration

_EPILOG = "--install, alone: make the agent a service of this system, with systemd, and start it."
DEFAULT_FILE = Path("/etc/vmcontroller-guest.toml")


@dataclass(frozen=True)
class Settings:
    """Where the agent keeps and finds things. What a seed says goes before what is said here."""

    seed: Path | None = None
    state: Path = Path("/var/lib/vmcontroller-guest")
    serve: Path = Path("/srv/vmcontroller")
    listen: str = ""
    door_port: int = 61614
    chirp_port: int = 9094
    ports_fd: int | None = None
    # for guests without a seed
    interface: str = ""
    name: str = ""
    group: str = "default"
    daemon: str = "default"
    broker: str = ""
    login: str = ""
    passcode: str = ""
    vhost: str = "/"


def load(arguments: Sequence[str]) -> Settings:
    """The settings in force. BadConfiguration; SystemExit where the command line is wrong."""
    options = {key: value for key, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    path = options.pop("config", None)
    settings = Settings()
    if path is not None or DEFAULT_FILE.exists():
        settings = _from_file(path or DEFAULT_FILE)
    settings = replace(settings, **options)
    return replace(settings, state=settings.state.absolute(), serve=settings.serve.absolute())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vmcontroller-guest", description="The agent inside a VM.", epilog=_EPILOG)
    parser.add_argument("--config", type=Path, help=f"TOML file with these settings (default: {DEFAULT_FILE})")
    parser.add_argument("--seed", type=Path, help="the seed, a JSON file or ISO image (default: the device VMCSEED)")
    parser.add_argument("--state", type=Path, help=f"directory for what must not be forgotten ({Settings.state})")
    parser.add_argument("--serve", type=Path, help=f"directory that the host may read and write ({Settings.serve})")
    parser.add_argument("--listen", help="address of the two ports (default: every address)")
    parser.add_argument("--door-port", type=int, help=f"port for the host; 0 takes a free one ({Settings.door_port})")
    parser.add_argument("--chirp-port", type=int, help=f"port for files; 0 takes a free one ({Settings.chirp_port})")
    parser.add_argument("--ports-fd", type=int, help="descriptor on which the ports are told, as one line of JSON")
    return parser


def _from_file(path: Path) -> Settings:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}; name another file with --config") from None
    except ValueError as error:
        raise BadConfiguration(f"{path}: not TOML: {error}") from None
    known = {f.name: type(f.default) for f in fields(Settings) if f.name != "ports_fd"} | {"seed": Path}
    return replace(Settings(), **{key: _checked(key, value, known, path) for key, value in values.items()})


def _checked(key: str, value: Any, known: dict[str, type], path: Path) -> Any:
    kind = known.get(key)
    if kind is None:
        raise BadConfiguration(f"{path}: {key} is no setting; there are {', '.join(sorted(known))}")
    if kind not in (int, str):
        kind, value = Path, Path(value) if isinstance(value, str) else value
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {int: "a whole number", str: "text"}.get(kind, "a path")
        raise BadConfiguration(f"{path}: {key} is {value!r}; it must be {wanted}")
    return value
