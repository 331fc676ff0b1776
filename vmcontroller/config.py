"""The daemon's settings: defaults, then a TOML file, then the environment, then the command line.

Parsed and checked once, into frozen values; nothing else in the daemon reads a setting.
The table in docs/reference/configuration.md is made from this file.
"""

from __future__ import annotations

import math
import os
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NewType, TypeVar, get_args, get_type_hints

from vmcontroller.errors import BadConfiguration

T = TypeVar("T")
#: A name, or several with commas between.
Names = NewType("Names", str)

ENVIRONMENT_PREFIX = "VMCONTROLLER_"


def _setting(default: Any, doc: str, least: float | None = None, most: float | None = None) -> Any:
    return field(default=default, metadata={"doc": doc, "least": least, "most": most})


def _port(doc: str) -> Any:
    return _setting(0, doc, 0, 65535)


@dataclass(frozen=True)
class XmlRpcSettings:
    """[xmlrpc]"""

    port: int = _port("port on loopback; 0 takes a free one")
    max_body: int = _setting(64 * 1024 * 1024, "largest request in octets; a larger one gets 413", 1)


@dataclass(frozen=True)
class BrokerSettings:
    """[broker]"""

    url: str = _setting("embedded", '"embedded", or "tcp://HOST:PORT" of a RabbitMQ or ActiveMQ')
    port: int = _port("port of the embedded broker on loopback; 0 takes a free one")
    login: str = _setting("", "the daemon's login at an external broker")
    passcode: str = _setting("", "the daemon's passcode at an external broker")
    vhost: str = _setting("/", "virtual host at an external broker")


@dataclass(frozen=True)
class GuestSettings:
    """[guests]"""

    beacon_interval: float = _setting(10.0, "seconds between two STILL_ALIVE", 0.01, 86400)
    grace: float = _setting(
        30.0, "seconds of silence after which a guest is warned of; at 1.5 times it is dropped", 0.01
    )


@dataclass(frozen=True)
class VMSettings:
    """[vms]"""

    network: bool = _setting(False, "give a network to the VMs that ask for one; otherwise they are not made")
    booting: int = _setting(0, "how many VMs boot side by side; 0: as many as there are processors", 0, 1000)


@dataclass(frozen=True)
class ResultSettings:
    """[results]"""

    keep_days: int = _setting(
        30,
        "whole days that a command is kept, with its output, after its results were read last; one that runs, whose"
        " results nobody has read, or that a snapshot holds is kept. 0: all are kept until somebody forgets them",
        0,
        36500,
    )


@dataclass(frozen=True)
class Config:
    """Everything that can be set."""

    state_dir: Path | None = _setting(None, "where all state lies; default: the user's state directory")
    hypervisor: Names = _setting(
        "process", 'a hypervisor plugin\'s name, several as a list or with commas between, or "auto" for the best'
    )
    log_level: str = _setting("info", "debug, info, warn, error or critical")
    while_leased: bool = _setting(False, "leave when the last lease is gone")
    min_free_disk: int = _setting(64 * 1024 * 1024, "octets that stay free; below, no more output is taken", 0)
    xmlrpc: XmlRpcSettings = field(default_factory=XmlRpcSettings)
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    vms: VMSettings = field(default_factory=VMSettings)
    guests: GuestSettings = field(default_factory=GuestSettings)
    results: ResultSettings = field(default_factory=ResultSettings)


def load(path: Path | None, environment: Mapping[str, str], arguments: Mapping[str, Any]) -> Config:
    """The settings in force.

    ``path`` is a TOML file or None. ``environment`` may hold VMCONTROLLER_KEY and VMCONTROLLER_SECTION_KEY,
    ``arguments`` maps "key" and "section.key" to values. BadConfiguration names the place and the setting.
    """
    config = Config()
    if path is not None:
        config = _merge(config, _read(path), str(path))
    config = _merge(config, _from_environment(environment), "the environment")
    config = _merge(config, _nested(arguments), "the command line")
    if config.guests.grace < config.guests.beacon_interval:
        raise BadConfiguration(
            f"guests.grace is {config.guests.grace:g} and guests.beacon_interval {config.guests.beacon_interval:g};"
            " every guest would be given up between two signs of life: make grace the longer one"
        )
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}; name another file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: not TOML: {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, name in _keys():
        variable = (ENVIRONMENT_PREFIX + (f"{section}_" if section else "") + name).upper()
        if variable in environment:
            (found.setdefault(section, {}) if section else found)[name] = environment[variable]
    return found


def _keys() -> list[tuple[str, str]]:
    pairs = []
    for f in fields(Config):
        section = _section(f.name)
        pairs += [(f.name, inner.name) for inner in fields(section)] if section else [("", f.name)]
    return pairs


def _section(name: str) -> type[Any] | None:
    hint = get_type_hints(Config)[name]
    return hint if hasattr(hint, "__dataclass_fields__") else None


def _nested(arguments: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in arguments.items():
        section, dot, name = key.rpartition(".")
        (found.setdefault(section, {}) if dot else found)[name] = value
    return found


def _merge(target: T, values: Mapping[str, Any], where: str, prefix: str = "") -> T:
    known = {f.name: f for f in fields(target)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise BadConfiguration(f"{where}: {prefix}{name} is no setting; docs/reference/configuration.md lists them")
        current = getattr(target, name)
        if hasattr(current, "__dataclass_fields__"):
            if not isinstance(value, Mapping):
                raise BadConfiguration(f"{where}: {prefix}{name} is a section, not a value")
            changes[name] = _merge(current, value, where, f"{name}.")
        else:
            hint = get_type_hints(type(target))[name]
            changes[name] = _convert(value, hint, known[name].metadata, f"{where}: {prefix}{name}")
    return replace(target, **changes)  # type: ignore[type-var]


def _boolean(value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return known[str(value).lower()]


def _whole(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _names(value: Any) -> Names:
    if isinstance(value, list) and value:
        return Names(",".join(map(_text, value)))
    return Names(_text(value))


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError
    return Path(os.path.expanduser(value))


_CONVERTERS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    bool: (_boolean, "true or false"),
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
    str: (_text, "text"),
    Names: (_names, "text, or a list of texts"),
    Path: (_path, "a path"),
}


def _convert(value: Any, hint: Any, bounds: Mapping[str, Any], where: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    convert, wanted = _CONVERTERS[hint]
    try:
        converted = convert(value)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise BadConfiguration(f"{where} is {value!r:.60}; it must be {wanted}") from None
    least, most = bounds["least"], bounds["most"]
    if least is not None and converted < least:
        raise BadConfiguration(f"{where} is {value!r:.60}; it must be at least {least}")
    if most is not None and converted > most:
        raise BadConfiguration(f"{where} is {value!r:.60}; it must be at most {most}")
    return converted
