"""A call finds its method, or a fault that says why not."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from tests.vmcontroller.doubles import result
from vmcontroller.api.dispatch import ALIASES, Api
from vmcontroller.errors import UnknownVM
from vmcontroller.rpc import BAD_ARGUMENTS, NO_METHOD


class Family:
    """Methods of every kind."""

    def __init__(self) -> None:
        self.later: Deferred[str] = Deferred()

    def typed(
        self,
        text: str,
        number: int,
        real: float = 0.5,
        flag: bool = False,
        octets: bytes = b"",
        many: list = [],  # noqa: B006
        struct: dict = {},  # noqa: B006
        anything: Any = None,
    ) -> list:
        """Give all of it back."""
        return [text, number, real, flag, octets, many, struct, anything]

    async def waits(self) -> str:
        """Answer later."""
        return await self.later

    def where(self, *, cwd: str) -> str:
        """The caller's directory."""
        return cwd

    async def fails(self) -> None:
        """Fail as methods do."""
        raise UnknownVM("no")

    def resume(self, vm: str) -> bool:
        return vm == "a"

    def _hidden(self) -> None:
        """Not for callers."""


@pytest.fixture
def api() -> Api:
    return Api([Family()])


def call(api: Api, name: str, *arguments: Any, cwd: str = "") -> Any:
    return result(api.dispatch(name, arguments, cwd))


def refused(api: Api, name: str, *arguments: Any) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        call(api, name, *arguments)
    return caught.value


def test_types(api: Api) -> None:
    """Each argument arrives as the type that is declared; what is close enough is converted."""
    assert call(api, "typed", "a", 1) == ["a", 1, 0.5, False, b"", [], {}, None]
    given = [b"\xff", 2**40, 3, 1, "\udcff", [1], {"a": 1}, b"x"]
    taken = ["\udcff", 2**40, 3.0, True, b"\xff", [1], {"a": 1}, b"x"]
    got = call(api, "typed", *given)
    assert got == taken
    assert [type(value) for value in got] == [type(value) for value in taken]


def test_whole_doubles(api: Api) -> None:
    """They are good where an integer is wanted: Python's own client cannot send an integer past 2 GiB otherwise."""
    number = call(api, "typed", "a", 3e9)[1]
    assert (number, type(number)) == (3_000_000_000, int)
    assert call(api, "typed", "a", -0.0)[1] == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), r"typed\(text, number, real=0.5, .*\) was called with 0 arguments"),
        (("a",), "was called with 1 arguments"),
        (("a", 1, 1.0, False, b"", [], {}, 0, 0), "was called with 9 arguments"),
        ((1, 1), "text must be string, not 1"),
        (("a", "1"), "number must be int, not '1'"),
        (("a", True), "number must be int, not True"),
        (("a", 1.5), "number must be int, not 1.5"),
        (("a", 1e300), r"number must be int, not 1e\+300"),
        (("a", float("nan")), "number must be int, not nan"),
        (("a", float("inf")), "number must be int, not inf"),
        (("a", 2**63), "number must be a number of 64 bits"),
        (("a", 1, "x"), "real must be double, not 'x'"),
        (("a", 1, True), "real must be double, not True"),
        (("a", 1, float("nan")), "real must be a finite number"),
        (("a", 1, float("-inf")), "real must be a finite number"),
        (("a", 1, 10**400), "real must be a finite number"),
        (("a", 1, 1.0, 2), "flag must be boolean, not 2"),
        (("a", 1, 1.0, False, 5), "octets must be base64, not 5"),
        (("a", 1, 1.0, False, b"", {}), "many must be array"),
        (("a", 1, 1.0, False, b"", [], []), "struct must be struct"),
    ],
)
def test_wrong_arguments(api: Api, arguments: tuple[Any, ...], why: str) -> None:
    """The fault names the method and the argument, and where to read more."""
    fault = refused(api, "typed", *arguments)
    assert fault.faultCode == BAD_ARGUMENTS
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(fault.faultString)
    assert fault.faultString.endswith("system.methodHelp tells more")


@pytest.mark.parametrize("name", ["nothing", "", "_hidden", "__init__", "dispatch", "later"])
def test_no_method(api: Api, name: str) -> None:
    """Only public methods of the families can be called."""
    assert refused(api, name).faultCode == NO_METHOD


def test_later() -> None:
    """A method that waits is waited for."""
    family = Family()
    asked = ensureDeferred(Api([family]).dispatch("waits", (), ""))
    assert not asked.called
    family.later.callback("now")
    assert result(asked) == "now"


def test_fails(api: Api) -> None:
    """What a method raises is its caller's."""
    with pytest.raises(UnknownVM):
        call(api, "fails")


def test_cwd(api: Api) -> None:
    """The caller's directory is no argument of his."""
    assert call(api, "where", cwd="/tmp") == "/tmp"
    assert refused(api, "where", "/etc").faultCode == BAD_ARGUMENTS


def test_older_names(api: Api) -> None:
    """They work, are listed, and are told of."""
    assert call(api, "unpause", "a") is True
    assert set(ALIASES) < set(call(api, "system.listMethods"))
    assert call(api, "system.methodHelp", "unpause") == call(api, "system.methodHelp", "resume")
    assert "Older name: unpause." in call(api, "system.methodHelp", "resume")


def test_verbs_of_the_hypervisor(api: Api) -> None:
    """They are described where they are declared."""
    assert call(api, "system.methodHelp", "resume").startswith("Let a Paused machine go on.")


def test_signature(api: Api) -> None:
    """One entry per number of arguments."""
    assert call(api, "system.methodSignature", "resume") == [["boolean", "string"]]
    signatures = call(api, "system.methodSignature", "typed")
    assert [len(signature) for signature in signatures] == list(range(3, 10))
    assert signatures[-1][1:] == ["string", "int", "double", "boolean", "base64", "array", "struct", "undef"]
