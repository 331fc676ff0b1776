"""Finds a hypervisor plugin by its name and makes sure that it has the right shape.

A plugin is a factory, named as "module:factory". It is imported only when it is chosen, so what other plugins
need may be absent. Nothing here knows what a plugin does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from zope.interface import Invalid
from zope.interface.exceptions import BrokenImplementation, BrokenMethodImplementation, DoesNotImplement
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyObject

from vmcontroller import interfaces
from vmcontroller.errors import BrokenPlugin, HypervisorMissing, UnknownHypervisor
from vmcontroller.interfaces import IHypervisor

#: Takes the reactor, the daemon's state directory and the daemon's id, which marks all that the plugin makes.
Factory = Callable[[Any, Path, str], IHypervisor]

GROUP = "vmcontroller.hypervisors"
BUILT_IN = {
    "libvirt": "vmcontroller.hypervisors.libvirt:create",
    "process": "vmcontroller.hypervisors.process:create",
    "qemu": "vmcontroller.hypervisors.qemu:create",
    "virtualbox": "vmcontroller.hypervisors.virtualbox:create",
    "vmware": "vmcontroller.hypervisors.vmware:create",
}
OPTIONAL: tuple[InterfaceClass, ...] = (
    interfaces.IKeepsPrograms,
    interfaces.IScreenshot,
    interfaces.IMetrics,
    interfaces.ICpuCap,
    interfaces.IMacAddress,
    interfaces.IProbe,
)


def load(name: str) -> Factory:
    """The factory of the plugin called ``name``; what it makes is checked against IHypervisor.

    UnknownHypervisor says which names there are, HypervisorMissing what to install, BrokenPlugin what the
    plugin lacks (the factory raises it, too). A built-in name wins over an entry point of the same name.
    """
    factory = _import(_plugin(name))

    def make(reactor: Any, state_dir: Path, owner: str) -> IHypervisor:
        return _verified(name, factory(reactor, state_dir, owner))

    return make


def names() -> list[str]:
    """Which plugins there are; what they drive may be absent."""
    return sorted(_plugins())


def _plugin(name: str) -> EntryPoint:
    plugins = _plugins()
    if name not in plugins:
        raise UnknownHypervisor(f"no hypervisor is called {name!r}; there are: {', '.join(sorted(plugins))}")
    return plugins[name]


def _plugins() -> dict[str, EntryPoint]:
    found = {plugin.name: plugin for plugin in entry_points(group=GROUP)}
    return found | {known: EntryPoint(known, place, GROUP) for known, place in BUILT_IN.items()}


def _import(plugin: EntryPoint) -> Factory:
    try:
        factory = plugin.load()
    except ImportError as error:
        raise _import_failed(plugin, error) from error
    except Exception as error:
        raise BrokenPlugin(f"the hypervisor {plugin.name!r} cannot be loaded: {error!r}; mend the plugin") from error
    if not callable(factory):
        raise BrokenPlugin(f"the hypervisor {plugin.name!r} is broken: {plugin.value} is not a factory")
    return factory  # type: ignore[no-any-return]


def _import_failed(plugin: EntryPoint, error: ImportError) -> BrokenPlugin | HypervisorMissing:
    if error.name and f"{plugin.module}.".startswith(f"{error.name}."):
        return BrokenPlugin(f"the hypervisor {plugin.name!r} is broken: there is no module {error.name}; reinstall it")
    what = f"the Python module {error.name}" if error.name else "a library"
    return HypervisorMissing(f"the hypervisor {plugin.name!r} needs {what}: {error}; install it, or choose another one")


def _verified(name: str, hypervisor: Any) -> IHypervisor:
    claims = [interface for interface in OPTIONAL if interface.providedBy(hypervisor)]
    for interface in (IHypervisor, *claims):
        try:
            verifyObject(interface, hypervisor)
        except Invalid as error:
            faults = "; ".join(_faults(error))
            raise BrokenPlugin(f"the hypervisor {name!r} is no {interface.__name__}: {faults}") from error
    return hypervisor  # type: ignore[no-any-return]


def _faults(error: Any) -> Iterator[str]:
    if isinstance(error, BrokenImplementation):
        yield f"it lacks {_name(error.args[1])}"
    elif isinstance(error, BrokenMethodImplementation):
        yield f"its {_name(error.args[0])} {error.args[1].removeprefix('implementation ')}"
    elif isinstance(error, DoesNotImplement):
        yield "it does not declare it with @implementer"
    for one in getattr(error, "exceptions", ()):
        yield from _faults(one)


def _name(attribute: Any) -> str:
    return str(getattr(attribute, "__name__", attribute))
