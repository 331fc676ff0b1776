"""What a hypervisor plugin must do, and what it may do besides.

A plugin's author needs this file and the contract suite (tests/contracts/hypervisor.py), nothing else.

Rules that hold for every method:

* ``vm`` is a VM's id. The daemon has mapped the caller's name to it.
* Every method returns a Deferred. It fires when the thing *is* so, not when it was asked for.
* An unknown id fails with UnknownVM, a state that does not allow it with BadState, whatever the
  hypervisor itself refuses with HypervisorFailed that holds its words. A failed call leaves the
  machine as it was.
* The plugin owns the machine's state and keeps it over a restart of the daemon. It marks what it
  makes as its own, lists only that, and touches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from vmcontroller.machine import GuestAddress, Machine, MachineSpec, Snapshot


class IHypervisor(Interface):
    """The smallest set of verbs that every hypervisor can honour."""

    name = Attribute("The plugin's name in the configuration, such as 'process'.")

    def connect() -> Deferred[None]:
        """Make the hypervisor ready and find the machines of earlier runs.

        Fires with None. HypervisorMissing says what to install. Nothing happens before this call.
        """

    def disconnect(stop: bool) -> Deferred[None]:
        """Let go. With ``stop`` true every running machine is saved or, where that cannot be, powered off.

        Fires with None. Without ``stop`` the machines run on and the next connect() finds them.
        """

    def version() -> Deferred[str]:
        """The hypervisor's own version, as text."""

    def machines() -> Deferred[list[Machine]]:
        """Every machine of ours, as a list of Machine."""

    def createVM(spec: MachineSpec) -> Deferred[None]:
        """Make a machine from a MachineSpec; it is PoweredOff then, or it does not exist at all.

        BadImage, VMExists; NetworkRefused, EmulationRefused where the spec's wish cannot be granted. Fires with None.
        """

    def removeVM(vm: str) -> Deferred[None]:
        """Stop the machine if it runs and remove all that belongs to it."""

    def start(vm: str) -> Deferred[None]:
        """Run a machine that is PoweredOff, Saved or Aborted. A Saved one goes on where it was."""

    def powerOff(vm: str) -> Deferred[None]:
        """Cut the power: the machine is PoweredOff at once, whatever it was doing."""

    def shutdown(vm: str) -> Deferred[None]:
        """Press the power button. Fires when it was pressed; the guest decides what it does."""

    def reset(vm: str) -> Deferred[None]:
        """Press the reset button: the machine starts anew, with its disk as it is."""

    def pause(vm: str) -> Deferred[None]:
        """Freeze a Running machine where it is."""

    def resume(vm: str) -> Deferred[None]:
        """Let a Paused machine go on."""

    def saveState(vm: str) -> Deferred[None]:
        """Put a Running or Paused machine away; it is Saved then. See IKeepsPrograms."""

    def discardState(vm: str) -> Deferred[None]:
        """Forget a Saved machine's state; it is PoweredOff then."""

    def takeSnapshot(vm: str, name: str, description: str) -> Deferred[None]:
        """Keep the machine as it is under a name; it goes on as it was. SnapshotExists.

        What a snapshot holds: the disk always, running programs only with IKeepsPrograms.
        """

    def restoreSnapshot(vm: str, name: str) -> Deferred[None]:
        """Bring back what the snapshot holds. UnknownSnapshot; BadState unless PoweredOff, Saved or Aborted.

        Afterwards the machine is Saved if the snapshot holds running programs, else PoweredOff.
        """

    def deleteSnapshot(vm: str, name: str) -> Deferred[None]:
        """Remove a snapshot; others are untouched. UnknownSnapshot."""

    def listSnapshots(vm: str) -> Deferred[list[Snapshot]]:
        """The machine's snapshots, oldest first, as a list of Snapshot."""

    def guestAddress(vm: str) -> Deferred[GuestAddress | None]:
        """Where the machine's two ports are reached, as a GuestAddress, or None while it does not run."""


class IKeepsPrograms(Interface):
    """Marks a plugin whose saved states and snapshots hold running programs and memory."""


class IScreenshot(Interface):
    """A machine's screen can be seen."""

    def screenshot(vm: str) -> Deferred[bytes]:
        """The screen as PNG, in bytes."""


class IMetrics(Interface):
    """The hypervisor can say what a machine uses."""

    def getStats(vm: str) -> Deferred[dict[str, float]]:
        """A dict of numbers: ``cpuSeconds``, ``memoryBytes``, and what else the hypervisor tells."""


class ICpuCap(Interface):
    """A machine can be held to a share of the processor."""

    def setCpuCap(vm: str, percent: int) -> Deferred[None]:
        """Hold the machine to 1 to 100 per cent of the processors that it has."""


class IMacAddress(Interface):
    """The network card's address is known, so a guest without a seed can be recognised by it."""

    def macAddress(vm: str) -> Deferred[str]:
        """The first card's address, six pairs of upper-case hex digits with colons between."""


@dataclass(frozen=True)
class Suitability:
    """What a hypervisor is worth on this host: the answer to IProbe.

    ``works``: machines can be made and run. ``accelerated``: the processor runs their programs itself. ``isolated``:
    a program in a machine reaches nothing of the host, neither files and processes nor what listens on its addresses.
    ``reason`` says why, in a sentence without a full stop.
    """

    works: bool
    accelerated: bool
    reason: str
    isolated: bool = True


class IProbe(Interface):
    """The plugin can say how well it would work here; ``hypervisor = "auto"`` takes only one that does."""

    def probe() -> Deferred[Suitability]:
        """Look, without connect(), within seconds, and leave nothing behind; never fails for what is not installed."""


@dataclass(frozen=True)
class Considered:
    """A hypervisor that a choice was made from, under its name in the configuration; ``chosen``: it is in use."""

    name: str
    suitability: Suitability
    chosen: bool


class IComposite(Interface):
    """Several hypervisors that act as one. The verbs of IHypervisor reach each machine where it is."""

    considered = Attribute("Tuple of Considered, best first: why each is in use or not; empty before connect().")

    def member(vm: str) -> IHypervisor:
        """The hypervisor that has this machine, to be asked for what only some can do. UnknownVM."""
