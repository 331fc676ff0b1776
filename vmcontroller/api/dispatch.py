"""Finds the method that a call names, checks its arguments, and tells what methods there are."""

from __future__ import annotations

import inspect
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

from vmcontroller.interfaces import IHypervisor
from vmcontroller.rpc import BAD_ARGUMENTS, NO_METHOD

#: Names of 2009 and 2010 for the same method.
ALIASES = {
    "listAvailableVMs": "listVMs",
    "unpause": "resume",
    "saveSnapshot": "takeSnapshot",
    "getPerformanceData": "getStats",
}
_XML_NAMES: dict[Any, str] = {
    str: "string",
    int: "int",
    float: "double",
    bool: "boolean",
    list: "array",
    dict: "struct",
    bytes: "base64",
    Any: "undef",
}


class Api:
    """All methods of some families: every public method of each is callable by its name."""

    def __init__(self, families: Iterable[object]) -> None:
        self._methods: dict[str, Callable[..., Any]] = {
            "help": self.help,
            "system.listMethods": self.list_methods,
            "system.methodHelp": self.method_help,
            "system.methodSignature": self.method_signature,
        }
        for family in families:
            for name, method in inspect.getmembers(family, inspect.ismethod):
                if not name.startswith("_"):
                    self._methods[name] = method

    async def dispatch(self, name: str, arguments: Sequence[Any], cwd: str) -> Any:
        """Call a method. Faults: NO_METHOD, BAD_ARGUMENTS, and what the method itself raises."""
        method = self._methods.get(ALIASES.get(name, name))
        if method is None:
            raise xmlrpc.client.Fault(NO_METHOD, f"there is no method {name!r}; system.listMethods() names all")
        hidden = {"cwd": cwd} if "cwd" in inspect.signature(method).parameters else {}
        result = method(*self._checked(name, method, arguments), **hidden)
        return await result if inspect.isawaitable(result) else result

    def _checked(self, name: str, method: Callable[..., Any], arguments: Sequence[Any]) -> list[Any]:
        parameters = _parameters(method)
        required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
        if not required <= len(arguments) <= len(parameters):
            raise _bad_arguments(f"{_signature(name, method)} was called with {len(arguments)} arguments")
        hints = get_type_hints(method)
        pairs = zip(parameters, arguments, strict=False)
        return [_converted(name, parameter.name, hints[parameter.name], value) for parameter, value in pairs]

    # -- what there is

    def help(self, method: str = "") -> str:
        """What a method does, or, without its name, every method with its first sentence."""
        if method:
            return f"{_signature(method, self._find(method))}\n\n{self.method_help(method)}"
        return "\n".join(
            f"{_signature(name, self._find(name))}\n    {_first(self._doc(name))}" for name in self.names()
        )

    def names(self) -> list[str]:
        """The names of all methods, the aliases apart."""
        return sorted(self._methods)

    def list_methods(self) -> list:
        """The names of all methods, older names among them."""
        return sorted([*self._methods, *ALIASES])

    def method_help(self, method: str) -> str:
        """What a method does."""
        return self._doc(method)

    def method_signature(self, method: str) -> list:
        """The types of a method: what it returns, then its arguments; one entry per number of arguments."""
        found = self._find(method)
        hints = get_type_hints(found)
        names = [_XML_NAMES.get(hints[p.name], "undef") for p in _parameters(found)]
        required = sum(p.default is inspect.Parameter.empty for p in _parameters(found))
        result = _XML_NAMES.get(hints.get("return"), "undef")
        return [[result, *names[:count]] for count in range(required, len(names) + 1)]

    def _find(self, name: str) -> Callable[..., Any]:
        method = self._methods.get(ALIASES.get(name, name))
        if method is None:
            raise xmlrpc.client.Fault(NO_METHOD, f"there is no method {name!r}; system.listMethods() names all")
        return method

    def _doc(self, name: str) -> str:
        """A verb of the hypervisor is described where it is declared."""
        canonical = ALIASES.get(name, name)
        own = inspect.getdoc(self._find(name)) or ""
        if not own and canonical in IHypervisor:
            own = inspect.cleandoc(IHypervisor[canonical].__doc__)
        older = [alias for alias, new in ALIASES.items() if new == canonical]
        return own + (f"\n\nOlder name: {', '.join(older)}." if older else "")


def _parameters(method: Callable[..., Any]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(method).parameters.values() if p.name != "cwd"]


def _signature(name: str, method: Callable[..., Any]) -> str:
    shown = [p.name if p.default is inspect.Parameter.empty else f"{p.name}={p.default!r}" for p in _parameters(method)]
    return f"{name}({', '.join(shown)})"


def _first(doc: str) -> str:
    """The first sentence."""
    return " ".join(doc.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".:") + "."


def _bad_arguments(why: str) -> xmlrpc.client.Fault:
    return xmlrpc.client.Fault(BAD_ARGUMENTS, f"{why}; system.methodHelp tells more")


def _converted(method: str, name: str, hint: Any, value: Any) -> Any:
    """The value if it has the type that the method declares; a whole number is good where a float is wanted."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if hint is bytes and isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if hint is bool and value in (0, 1):
        return bool(value)
    fits = hint is Any or (isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool))
    if not fits:
        raise _bad_arguments(f"{method}: {name} must be {_XML_NAMES[hint]}, not {value!r}")
    return value
