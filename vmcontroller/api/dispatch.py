"""Finds the method that a call names, checks its arguments, and tells what methods there are."""

from __future__ import annotations

import inspect
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

from vmcontroller.api.forms import whole
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


class Method:
    """One method of the API, with what has to be known of it at every call."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        hints = get_type_hints(function)
        signature = inspect.signature(function)
        self.wants_cwd = "cwd" in signature.parameters
        self.parameters = [p for p in signature.parameters.values() if p.name != "cwd"]
        self.required = sum(p.default is inspect.Parameter.empty for p in self.parameters)
        self.types = [hints[p.name] for p in self.parameters]
        self.returns = hints.get("return")

    @property
    def signature(self) -> str:
        """The method as a caller would write it, with its defaults."""
        empty = inspect.Parameter.empty
        shown = [p.name if p.default is empty else f"{p.name}={p.default!r}" for p in self.parameters]
        return f"{self.name}({', '.join(shown)})"

    def call(self, arguments: Sequence[Any], cwd: str) -> Any:
        """Call it, if the arguments are right in number and type; BAD_ARGUMENTS."""
        if not self.required <= len(arguments) <= len(self.parameters):
            raise _bad_arguments(f"{self.signature} was called with {len(arguments)} arguments")
        checked = map(self._converted, self.parameters, self.types, arguments)
        return self.function(*checked, **({"cwd": cwd} if self.wants_cwd else {}))

    def _converted(self, parameter: inspect.Parameter, wanted: Any, value: Any) -> Any:
        """The value if it has the type that is declared; a whole number is good as a double and vice versa."""
        if wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._finite(parameter, value)
        if wanted is int:
            value = whole(value)
        if wanted is str and isinstance(value, bytes):
            return value.decode("utf-8", "surrogateescape")
        if wanted is bytes and isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if wanted is bool and value in (0, 1):
            return bool(value)
        fits = wanted is Any or (isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool))
        if not fits:
            raise _bad_arguments(f"{self.name}: {parameter.name} must be {_XML_NAMES[wanted]}, not {value!r}")
        if wanted is int and abs(value) >= 2**63:
            raise _bad_arguments(f"{self.name}: {parameter.name} must be a number of 64 bits")
        return value

    def _finite(self, parameter: inspect.Parameter, value: float) -> float:
        """XML-RPC has no word for infinity, but parsers take it."""
        if not abs(value) < 2**63:
            raise _bad_arguments(f"{self.name}: {parameter.name} must be a finite number")
        return float(value)


class Api:
    """All methods of some families: every public method of each is callable by its name."""

    def __init__(self, families: Iterable[object]) -> None:
        functions: dict[str, Callable[..., Any]] = {
            "help": self.help,
            "system.listMethods": self.list_methods,
            "system.methodHelp": self.method_help,
            "system.methodSignature": self.method_signature,
        }
        for family in families:
            found = inspect.getmembers(family, inspect.ismethod)
            functions |= {name: function for name, function in found if not name.startswith("_")}
        self._methods = {name: Method(name, function) for name, function in functions.items()}

    async def dispatch(self, name: str, arguments: Sequence[Any], cwd: str) -> Any:
        """Call a method. Faults: NO_METHOD, BAD_ARGUMENTS, and what the method itself raises."""
        result = self._find(name).call(arguments, cwd)
        return await result if inspect.isawaitable(result) else result

    def _find(self, name: str) -> Method:
        method = self._methods.get(ALIASES.get(name, name))
        if method is None:
            raise xmlrpc.client.Fault(NO_METHOD, f"there is no method {name!r}; system.listMethods() names all")
        return method

    # -- what there is

    def help(self, method: str = "") -> str:
        """What a method does, or, without its name, every method with its first sentence."""
        if method:
            return f"{self._find(method).signature}\n\n{self.method_help(method)}"
        lines = [f"{found.signature}\n    {_first(self._doc(name))}" for name, found in sorted(self._methods.items())]
        return "\n".join(lines)

    def list_methods(self) -> list:
        """The names of all methods, older names among them."""
        return sorted([*self._methods, *ALIASES])

    def method_help(self, method: str) -> str:
        """What a method does."""
        return self._doc(method)

    def method_signature(self, method: str) -> list:
        """The types of a method: what it returns, then its arguments; one entry per number of arguments."""
        found = self._find(method)
        names = [_XML_NAMES.get(wanted, "undef") for wanted in found.types]
        result = _XML_NAMES.get(found.returns, "undef")
        return [[result, *names[:count]] for count in range(found.required, len(names) + 1)]

    def _doc(self, name: str) -> str:
        """A verb of the hypervisor is described where it is declared."""
        canonical = ALIASES.get(name, name)
        own = inspect.getdoc(self._find(name).function) or ""
        if not own and canonical in IHypervisor:
            own = inspect.cleandoc(IHypervisor[canonical].__doc__)
        older = [alias for alias, new in ALIASES.items() if new == canonical]
        return own + (f"\n\nOlder name: {', '.join(older)}." if older else "")


def _first(doc: str) -> str:
    """The first sentence."""
    return " ".join(doc.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".:") + "."


def _bad_arguments(why: str) -> xmlrpc.client.Fault:
    return xmlrpc.client.Fault(BAD_ARGUMENTS, f"{why}; system.methodHelp tells more")
