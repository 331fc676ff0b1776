"""Settings come from four places, the later over the earlier, and each is checked and named when it is wrong."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from vmcontroller.config import Config, load
from vmcontroller.errors import BadConfiguration


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the settings' file may lie."""
    return tmp_path / "vmcontroller.toml"


def refusal(path: Path | None = None, environment: dict[str, str] | None = None, **arguments: Any) -> str:
    with pytest.raises(BadConfiguration) as refused:
        load(path, environment or {}, {name.replace("__", "."): value for name, value in arguments.items()})
    return str(refused.value)


def test_defaults() -> None:
    """Without any setting all have their defaults."""
    config = load(None, {}, {})
    assert config == Config()
    assert (config.hypervisor, config.state_dir, config.broker.url) == ("process", None, "embedded")
    assert (config.xmlrpc.port, config.guests.beacon_interval, config.while_leased) == (0, 10.0, False)


def test_frozen() -> None:
    """Nobody changes a setting afterwards."""
    with pytest.raises(FrozenInstanceError):
        load(None, {}, {}).hypervisor = "qemu"  # type: ignore[misc]


def test_file(file: Path) -> None:
    """A TOML file sets what it names, and nothing else."""
    file.write_text('hypervisor = "ü"\nwhile_leased = true\n[guests]\nbeacon_interval = 2\n[xmlrpc]\nport = 8080\n')
    config = load(file, {}, {})
    assert (config.hypervisor, config.while_leased, config.xmlrpc.port) == ("ü", True, 8080)
    assert config.guests.beacon_interval == 2.0
    assert isinstance(config.guests.beacon_interval, float)
    assert config.guests.grace == 30.0


def test_several_hypervisors(file: Path) -> None:
    """They are a list, or one text with commas between, wherever they are written."""
    file.write_text('hypervisor = ["qemu", "libvirt"]\n')
    assert load(file, {}, {}).hypervisor == "qemu,libvirt"
    assert load(file, {"VMCONTROLLER_HYPERVISOR": "libvirt,qemu"}, {}).hypervisor == "libvirt,qemu"


def test_later_over_earlier(file: Path) -> None:
    """The command line goes over the environment, the environment over the file."""
    file.write_text("min_free_disk = 1\n[broker]\nport = 1\n[xmlrpc]\nport = 1\n")
    environment = {"VMCONTROLLER_BROKER_PORT": "2", "VMCONTROLLER_XMLRPC_PORT": "2"}
    config = load(file, environment, {"xmlrpc.port": 3})
    assert (config.min_free_disk, config.broker.port, config.xmlrpc.port) == (1, 2, 3)


def test_environment() -> None:
    """The environment has a variable for each setting; others, also of ours, mean nothing."""
    environment = {
        "VMCONTROLLER_STATE_DIR": "/state",
        "VMCONTROLLER_WHILE_LEASED": "Yes",
        "VMCONTROLLER_GUESTS_GRACE": "1e1",
        "VMCONTROLLER_ID": "vm-1",
        "GRACE": "7",
    }
    config = load(None, environment, {})
    assert (config.state_dir, config.while_leased, config.guests.grace) == (Path("/state"), True, 10.0)


def test_arguments() -> None:
    """The command line names settings with dots."""
    config = load(None, {}, {"hypervisor": "qemu", "broker.url": "tcp://h:1", "state_dir": Path("/s")})
    assert (config.hypervisor, config.broker.url, config.state_dir) == ("qemu", "tcp://h:1", Path("/s"))


def test_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with the home directory."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(None, {}, {"state_dir": "~/state"}).state_dir == Path("/home/somebody/state")


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "YES"])
def test_true(text: str) -> None:
    """Truth has several names."""
    assert load(None, {"VMCONTROLLER_WHILE_LEASED": text}, {}).while_leased is True


@pytest.mark.parametrize("text", ["false", "0", "no", "No"])
def test_false(text: str) -> None:
    """So has its opposite."""
    assert load(None, {"VMCONTROLLER_WHILE_LEASED": text}, {}).while_leased is False


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("hypervizor = 'x'", "hypervizor is no setting; docs/reference/configuration.md lists them"),
        ("[guests]\ngrase = 1", "guests.grase is no setting"),
        ("[gests]\ngrace = 1", "gests is no setting"),
        ("guests = 1", "guests is a section, not a value"),
        ("hypervisor = 5", "hypervisor is 5; it must be text, or a list of texts"),
        ("hypervisor = []", "hypervisor is []; it must be text, or a list of texts"),
        ("hypervisor = ['x', 5]", "hypervisor is ['x', 5]; it must be text, or a list of texts"),
        ("[hypervisor]\nname = 'x'", "hypervisor is {'name': 'x'}; it must be text, or a list of texts"),
        ("log_level = ['info']", "log_level is ['info']; it must be text"),
        ("state_dir = 5", "state_dir is 5; it must be a path"),
        ("state_dir = ''", "state_dir is ''; it must be a path"),
        ("while_leased = 'maybe'", "while_leased is 'maybe'; it must be true or false"),
        ("while_leased = 2", "while_leased is 2; it must be true or false"),
        ("[xmlrpc]\nport = 'http'", "xmlrpc.port is 'http'; it must be a whole number"),
        ("[xmlrpc]\nport = 80.5", "xmlrpc.port is 80.5; it must be a whole number"),
        ("[xmlrpc]\nport = true", "xmlrpc.port is True; it must be a whole number"),
        ("[xmlrpc]\nport = 65536", "xmlrpc.port is 65536; it must be at most 65535"),
        ("[broker]\nport = -1", "broker.port is -1; it must be at least 0"),
        ("[xmlrpc]\nmax_body = 0", "xmlrpc.max_body is 0; it must be at least 1"),
        ("min_free_disk = -1", "min_free_disk is -1; it must be at least 0"),
        ("[guests]\ngrace = true", "guests.grace is True; it must be a number"),
        ("[guests]\ngrace = nan", "guests.grace is nan; it must be a number"),
        ("[guests]\ngrace = inf", "guests.grace is inf; it must be a number"),
        ("[guests]\ngrace = 0", "guests.grace is 0; it must be at least 0.01"),
        ("[guests]\nbeacon_interval = 1e9", "guests.beacon_interval is 1000000000.0; it must be at most 86400"),
        ("[guests]\ngrace = []", "guests.grace is []; it must be a number"),
        (f"[guests]\ngrace = {10**400}", "it must be a number"),
    ],
)
def test_wrong_file(file: Path, line: str, fault: str) -> None:
    """A setting that is unknown or wrong is named with the file, the section and what it must be."""
    file.write_text(line)
    said = refusal(file)
    assert said.startswith(f"{file}: ")
    assert fault in said


def test_wrong_environment() -> None:
    """So is one in the environment."""
    said = refusal(None, {"VMCONTROLLER_XMLRPC_PORT": "x"})
    assert said == "the environment: xmlrpc.port is 'x'; it must be a whole number"


def test_wrong_argument() -> None:
    """So is one on the command line."""
    assert refusal(xmlrpc__port="x") == "the command line: xmlrpc.port is 'x'; it must be a whole number"
    assert "the command line: xmlrpc.prot is no setting" in refusal(xmlrpc__prot=1)


def test_grace_is_longer_than_the_interval() -> None:
    """Each may be right by itself, and both together wrong."""
    assert "make grace the longer one" in refusal(guests__grace=5, guests__beacon_interval=10)


def test_no_file(file: Path) -> None:
    """A file that is not there is named, and how to name another one."""
    assert refusal(file) == f"{file}: No such file or directory; name another file with --config"


def test_directory(tmp_path: Path) -> None:
    """So is one that is a directory."""
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"hypervisor = ", b"\xff\xfe", b"[guests]\n[guests]\n", b"port: 1"])
def test_no_toml(file: Path, content: bytes) -> None:
    """A file that is not TOML is refused with the place that the parser names."""
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file}: not TOML: ")
