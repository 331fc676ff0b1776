"""A broker of the operator's own takes the embedded one's place; its rules are his, and the daemon names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.broker_process import BrokerProcess, broker_process
from tests.loopback.house import DEADLINE, House, house
from vmcontroller import client
from vmcontroller.errors import BadConfiguration, BrokerFailed, VMControllerError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")

LOGIN = ("--set", "broker.login=daemon", "--set", "broker.passcode=sesame")


def url(port: int) -> tuple[str, ...]:
    return ("--set", f"broker.url=tcp://127.0.0.1:{port}", *LOGIN)


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    """A broker that lets the daemon in."""
    with broker_process() as broker:
        admit_daemon(broker)
        yield broker


def admit_daemon(broker: BrokerProcess) -> None:
    everything = ["/topic/vmcontroller.#"]
    broker.rule(login="daemon", passcode="sesame", read=everything, write=everything)


def admit_guests(broker: BrokerProcess, home: House) -> None:
    """What the operator does whenever there are other VMs than before."""
    for rule in home.call("getBrokerRules"):
        broker.rule(**rule)


def test_whole_way(broker: BrokerProcess, tmp_path: Path) -> None:
    """A guest is let in when its rule stands; then everything goes as with the embedded broker."""
    with house(tmp_path / "state", *url(broker.port)) as home:
        home.call("createVM", "alpha")
        home.call("start", "alpha")
        assert not home.call("waitForVM", "alpha", 1.0)
        admit_guests(broker, home)
        assert home.call("waitForVM", "alpha", DEADLINE)
        assert home.shell("alpha", "echo hello")["out"] == "hello\n"
        assert len(home.shell("alpha", "yes | head -c 9000000")["out"]) == 9_000_000
        home.call("createVM", "beta")
        admit_guests(broker, home)
        home.call("start", "beta")
        assert home.call("waitForVM", "beta", DEADLINE)
        assert {name: told["out"] for name, told in home.result(home.run("*", "echo", "all")).items()} == {
            "alpha": "all\n",
            "beta": "all\n",
        }


def test_broker_comes_back(broker: BrokerProcess, tmp_path: Path) -> None:
    """What was asked while there was no broker is done when there is one again."""
    with house(tmp_path / "state", *url(broker.port)) as home:
        home.call("createVM", "alpha")
        admit_guests(broker, home)
        home.call("start", "alpha")
        assert home.call("waitForVM", "alpha", DEADLINE)
        broker.kill()
        cmd_id = home.run("alpha", "echo", "hello")
        again = BrokerProcess(broker.port)
        try:
            admit_daemon(again)
            admit_guests(again, home)
            assert home.result(cmd_id)["out"] == "hello\n"
        finally:
            again.kill()


def test_rules(broker: BrokerProcess, tmp_path: Path) -> None:
    """One per VM: its own destinations, in its own group, and no other's."""
    with house(tmp_path / "state", *url(broker.port)) as home:
        home.call("createVM", "alpha", "", {"id": "a", "group": "g"})
        prefix = f"/topic/vmcontroller.{home.address.id}.g"
        (rule,) = home.call("getBrokerRules")
        assert len(rule.pop("passcode")) == 64
        assert rule == {"login": "a", "read": [f"{prefix}.a.in", f"{prefix}.all"], "write": [f"{prefix}.a.out"]}


def refused(state: Path, *arguments: str) -> VMControllerError:
    with pytest.raises(VMControllerError) as caught:
        client.start(state, arguments)
    assert client.find(state) is None
    return caught.value


def test_wrong_passcode(broker: BrokerProcess, tmp_path: Path) -> None:
    """The broker's own words are told."""
    error = refused(tmp_path / "state", *url(broker.port), "--set", "broker.passcode=wrong")
    assert getattr(error, "code", None) == BrokerFailed.code
    assert "the login or the passcode is wrong" in str(error)
    assert f"127.0.0.1:{broker.port}" in str(error)


def test_nobody_listens(broker: BrokerProcess, tmp_path: Path) -> None:
    """The sentence says where nobody was found."""
    broker.kill()
    error = refused(tmp_path / "state", *url(broker.port))
    assert getattr(error, "code", None) == BrokerFailed.code
    assert "cannot be reached" in str(error)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--set", "broker.url=tcp://127.0.0.1:1"), "broker.login is missing"),
        (("--set", "broker.url=tcp://127.0.0.1", *LOGIN), "broker.url is 'tcp://127.0.0.1'"),
        (("--set", "broker.url=stomp://127.0.0.1:1", *LOGIN), "broker.url is 'stomp://"),
        (("--set", "broker.url=tcp://127.0.0.1:99999", *LOGIN), "broker.url is 'tcp://"),
        (("--set", "broker.url=tcp://a:b@127.0.0.1:1", *LOGIN), "broker.url is 'tcp://"),
        (("--set", "broker.url=tcp://127.0.0.1:1/x", *LOGIN), "broker.url is 'tcp://"),
    ],
)
def test_settings(arguments: tuple[str, ...], text: str, tmp_path: Path) -> None:
    """What is no address, and an address without a login."""
    error = refused(tmp_path / "state", *arguments)
    assert getattr(error, "code", None) == BadConfiguration.code
    assert text in str(error)
