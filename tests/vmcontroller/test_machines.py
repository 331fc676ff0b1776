"""Names, identities, and what else happens when a VM's state changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface.verify import verifyObject

from tests.vmcontroller.doubles import result
from tests.vmcontroller.house import House
from tests.vmcontroller.memory_hypervisor import MemoryHypervisor
from vmcontroller.api.daemon import DaemonMethods
from vmcontroller.api.machines import MachineMethods
from vmcontroller.errors import (
    BadName,
    BadRequest,
    BadState,
    DiskFull,
    GuestSilent,
    HypervisorFailed,
    NobodyMatches,
    SnapshotExists,
    UnknownLease,
    UnknownSnapshot,
    UnknownVM,
    Unsupported,
    VMExists,
)
from vmcontroller.interfaces import IHypervisor, IScreenshot
from vmcontroller.leases import Leases
from vmcontroller.machine import Machine, MachineState
from vmcontroller.wire.words import CmdAccepted, Who


def test_the_hypervisor_is_one() -> None:
    """What these tests stand on has the shape of a plugin."""
    assert verifyObject(IHypervisor, MemoryHypervisor())


class TestNames:
    """Who is meant by a name, an id or a pattern."""

    def test_name_or_id(self, house: House) -> None:
        """Both will do."""
        vm = house.make("VM 1")
        assert result(house.machines.find("VM 1")).id == result(house.machines.find(vm)).id == vm

    def test_name_before_id(self, house: House) -> None:
        """Where a hypervisor brought two that can be confused, the name counts."""
        for vm, name in (("a", "x"), ("x", "b")):
            house.hypervisor.vms[vm] = Machine(vm, name, "default", MachineState.SAVED)
        assert result(house.machines.find("x")).id == "a"
        assert list(result(house.machines.audience("x", "default"))) == ["a"]

    def test_unknown(self, house: House) -> None:
        """The sentence says where to look."""
        with pytest.raises(UnknownVM, match="listVMs"):
            result(house.machines.find("nobody"))
        with pytest.raises(UnknownVM, match="listVMs"):
            house.audience("nobody")

    def test_ordered(self, house: House) -> None:
        """By name."""
        for name in ("b", "C", "a"):
            house.make(name)
        assert [machine.name for machine in result(house.machines.all())] == ["C", "a", "b"]


class TestGone:
    """A VM that somebody has removed behind our back."""

    def test_whoever_asks_for_it_hears_that(self, house: House) -> None:
        """What it ran is lost, its guest is not dialled or let in any more, and its name is free."""
        vm = house.bring_up("A")
        house.run("c", vm)
        house.hypervisor.vms.clear()
        with pytest.raises(UnknownVM):
            result(house.machines.find("A"))
        assert house.state("c", vm) == "lost"
        assert (house.dialled, house.admitted, house.ledger.guests()) == (set(), set(), [])
        house.make("A")

    def test_not_there_yet(self, house: House) -> None:
        """One that is being made is not gone."""
        made: Deferred[None] = Deferred()
        house.hypervisor.createVM = lambda spec: made  # type: ignore[method-assign]
        making = ensureDeferred(house.machines.create("A", "", {}))
        with pytest.raises(UnknownVM):
            result(house.machines.find("A"))
        assert [guest.name for guest in house.ledger.guests()] == ["A"]
        made.errback(HypervisorFailed("no"))
        with pytest.raises(HypervisorFailed):
            result(making)

    def test_no_longer_there_for_us(self, house: House) -> None:
        """At the end of the daemon's life no hypervisor shows a machine; they are there all the same."""
        house.make("A")
        result(house.machines.close(False))
        house.hypervisor.vms.clear()
        with pytest.raises(UnknownVM):
            result(house.machines.find("A"))
        assert [guest.name for guest in house.ledger.guests()] == ["A"]


class TestResume:
    """A machine that stood still."""

    def test_its_guest_is_told_the_time(self, house: House) -> None:
        """It is asked for HELLO, as WELCOME holds the time; so are all when the whole computer has slept."""
        vm, other = house.bring_up("a"), house.bring_up("b")
        result(house.machines.plain("a", "pause"))
        house.said()
        result(house.machines.resume("a"))
        assert house.said(Who) == [(vm, Who())]
        house.controller.ask_all()
        assert sorted(house.said(Who)) == sorted([(vm, Who()), (other, Who())])


class TestBrokenDown:
    """A VM that broke down without a word."""

    def test_its_guest_is_nobody_at_once(self, house: House) -> None:
        """However short a time ago it was heard: it takes no command, and nobody is told that it answers."""
        vm = house.bring_up("VM 1")
        house.hypervisor.vms[vm] = replace(house.hypervisor.vms[vm], state=MachineState.ABORTED)
        with pytest.raises(GuestSilent):
            house.audience("VM 1")
        assert house.controller.guests.get(vm) is None


class TestAudience:
    """Whom a command is meant for."""

    def test_pattern(self, house: House) -> None:
        """All that match, by name or id, of this group, and take commands."""
        house.bring_up("VM 1.2.1")
        house.bring_up("VM 1.2.2")
        house.bring_up("VM 1.3.1")
        house.bring_up("VM 1.2.9", group="other")
        house.make("VM 1.2.8")
        assert house.audience("VM 1.2.*") == {"VM 1.2.1", "VM 1.2.2"}
        assert house.audience("vm-1-2-[12]-*") == {"VM 1.2.1", "VM 1.2.2"}
        assert house.audience("*", "other") == {"VM 1.2.9"}

    def test_exact_name_wins(self, house: House) -> None:
        """A VM that is called like a pattern is meant by it."""
        for vm, name in (("a", "w*"), ("b", "w1")):
            house.hypervisor.vms[vm] = Machine(vm, name, "default", MachineState.SAVED)
        assert house.audience("w*") == {"w*"}
        assert house.audience("w?") == {"w*", "w1"}

    def test_sleepers(self, house: House) -> None:
        """Paused and saved VMs take commands: they go on where they were."""
        for state, takes in [
            ("PAUSED", True),
            ("SAVED", True),
            ("RESTORING", True),
            ("POWERED_OFF", False),
            ("ABORTED", False),
        ]:
            house.hypervisor.vms["a"] = Machine("a", "a", "default", MachineState[state])
            if takes:
                assert house.audience("a") == house.audience("*") == {"a"}
            else:
                with pytest.raises(GuestSilent, match=r"start\('a'\)"):
                    house.audience("a")

    def test_agent_is_not_there_yet(self, house: House) -> None:
        """The sentence says how to wait for it."""
        vm = house.make("a")
        result(house.machines.start(vm))
        with pytest.raises(GuestSilent, match=r"waitForVM\('a', 60\)"):
            house.audience("a")

    def test_nobody(self, house: House) -> None:
        """A pattern that matches none that could take a command."""
        house.make("worker-1")
        with pytest.raises(NobodyMatches, match=r"'worker-\*' in the group 'default'"):
            house.audience("worker-*")


class TestCreate:
    """A VM has an identity of its own, or does not exist at all."""

    def test_identity(self, house: House) -> None:
        """The seed holds what the ledger holds, but for the private key."""
        vm = house.make("VM 1", group="g", memoryMB=64, cpus=2, network=True)
        spec, guest = house.hypervisor.specs[vm], house.ledger.guest(vm)
        assert guest is not None
        assert spec.seed == {
            "daemon": "d",
            "id": vm,
            "name": "VM 1",
            "group": "g",
            "secret": guest.secret,
            "chirpKey": "public",
            "setClock": True,
        }
        assert (spec.memory_mb, spec.cpus, spec.network) == (64, 2, True)
        assert (guest.chirp_key, len(guest.secret)) == ("private", 64)
        assert vm.startswith("vm-1-")
        assert house.admitted == {vm}

    def test_hypervisor_fails(self, house: House) -> None:
        """Nothing of it is left."""
        house.hypervisor.trouble["createVM"] = HypervisorFailed("no")
        with pytest.raises(HypervisorFailed):
            house.make("a")
        assert house.ledger.guests() == []
        assert house.admitted == set()
        house.hypervisor.trouble.clear()
        house.make("a")

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"colour": "red"}, "'colour' is no option; there are group, memoryMB"),
            ({"cpus": "2"}, "the option cpus must be int"),
            ({"cpus": True}, "the option cpus must be int"),
            ({"cpus": 0}, "cpus must lie between 1 and 256"),
            ({"memoryMB": 1}, "memoryMB between 16"),
            ({"group": "A/B"}, "'A/B' must be 1 to 64 of the characters"),
            ({"id": "../x"}, "'../x' must be 1 to 64 of the characters"),
            ({"lease": ["x"]}, "the option lease must be str"),
        ],
    )
    def test_options(self, house: House, options: dict[str, Any], why: str) -> None:
        """What is wrong is named, and nothing is made."""
        with pytest.raises(BadRequest, match=why):
            house.make("a", **options)
        assert house.hypervisor.log == []

    @pytest.mark.parametrize("name", ["", " a", "a/b", "a\\b", "w*", "w?", "w[", "a\nb", "x" * 129, "\udc80", "\uffff"])
    def test_names(self, house: House, name: str) -> None:
        """A name is no path and no pattern, and XML can hold it."""
        with pytest.raises(BadName, match="is no name for a VM"):
            house.make(name)

    def test_taken(self, house: House) -> None:
        """Neither the name nor the id of another, nor crosswise: nobody would know who is meant."""
        vm = house.make("a", id="vm-a")
        for name, its_id in (("a", ""), ("b", vm), (vm, ""), ("b", "a")):
            with pytest.raises(VMExists, match="exists already"):
                house.make(name, id=its_id)

    def test_two_at_once(self, house: House) -> None:
        """The second of the same name is refused though the first is not ready yet."""
        house.keys_come_late = True
        first = ensureDeferred(house.machines.create("a", "", {}))
        with pytest.raises(VMExists, match="is being made"):
            result(house.machines.create("a", "", {}))
        house.keys[0].callback(("private", "public"))
        assert result(first).name == "a"

    def test_claim_fails(self, house: House) -> None:
        """A lease that has run out keeps the VM from being made."""
        leases = Leases(house.clock, house.ledger, house.machines.start, lambda: None)
        methods = MachineMethods(house.machines, house.controller, leases, house.clock, lambda image: False)
        with pytest.raises(UnknownLease):
            result(methods.createVM("a", "", {"lease": "none"}, cwd=""))
        assert (house.hypervisor.vms, house.ledger.guests()) == ({}, [])
        lease = leases.open("me", 30)
        assert result(methods.createVM("a", "", {"lease": lease}, cwd="")) == [True, "a"]
        assert house.ledger.leased(lease) == [result(house.machines.find("a")).id]
        leases.stop()

    def test_taken_up(self, house: House) -> None:
        """Who comes after a lease that has run out puts its VMs under one of his own."""
        leases = Leases(house.clock, house.ledger, house.machines.start, lambda: None)
        nobody: Any = None
        methods = DaemonMethods(house.machines, house.controller, house.ledger, leases, {}, nobody, nobody)
        vm, lease = house.make("a"), methods.openLease("me")
        assert result(methods.leaseVM(lease, "a")) is True
        assert house.ledger.leased(lease) == [vm]
        with pytest.raises(UnknownLease):
            result(methods.leaseVM("none", "a"))
        with pytest.raises(UnknownVM):
            result(methods.leaseVM(lease, "b"))
        leases.stop()

    def test_stopped_only_when_all_are_saved(self, house: House) -> None:
        """Who cannot be saved is named with the reason, and everything goes on; whose hypervisor never can, is not."""
        stopped: list[bool] = []
        nobody: Any = None
        methods = DaemonMethods(house.machines, house.controller, house.ledger, nobody, {}, nobody, stopped.append)
        vms = [house.bring_up(name) for name in "abc"]
        house.hypervisor.vms[vms[2]] = replace(house.hypervisor.vms[vms[2]], state=MachineState.SAVED)
        for error, kind in (
            (DiskFull("no room"), DiskFull),
            (HypervisorFailed("it hangs"), HypervisorFailed),
            (OSError("gone"), HypervisorFailed),
        ):
            house.hypervisor.trouble["saveState"] = error
            with pytest.raises(kind, match=f"the daemon goes on, as it could not save a: {error}; b: {error}; mend"):
                result(methods.stopDaemon())
            assert (stopped, house.dialled) == ([], set(vms))
        house.hypervisor.trouble["saveState"] = Unsupported("it cannot")
        assert result(methods.stopDaemon()) is True
        del house.hypervisor.trouble["saveState"]
        assert result(methods.stopDaemon()) is True
        assert house.hypervisor.vms[vms[0]].state is MachineState.SAVED
        assert stopped == [True, True]

    def test_stopped_without_saving(self, house: House) -> None:
        """The VMs run on."""
        stopped: list[bool] = []
        nobody: Any = None
        methods = DaemonMethods(house.machines, house.controller, house.ledger, nobody, {}, nobody, stopped.append)
        vm = house.bring_up("a")
        assert result(methods.stopDaemon(False)) is True
        assert (stopped, house.hypervisor.vms[vm].state) == ([False], MachineState.RUNNING)


class TestLife:
    """Guests are dialled while their machines run, and are nobody when they do not."""

    def test_start_and_stop(self, house: House) -> None:
        """Each verb that ends a machine ends its guest."""
        vm = house.bring_up("a")
        assert house.dialled == {vm}
        for stop in ("powerOff", "saveState"):
            result(house.machines.stop("a", stop))
            assert house.dialled == set()
            assert house.controller.guests.alive() == []
            result(house.machines.start("a"))
            house.join(vm, nonce=stop)

    def test_what_fails_changes_nothing(self, house: House) -> None:
        """A machine that cannot be stopped or removed is still ours to speak to."""
        vm = house.bring_up("a")
        for verb in ("powerOff", "removeVM"):
            house.hypervisor.trouble[verb] = HypervisorFailed("no")
        with pytest.raises(HypervisorFailed):
            result(house.machines.stop("a", "powerOff"))
        with pytest.raises(HypervisorFailed):
            result(house.machines.remove("a"))
        assert house.dialled == house.admitted == set(house.controller.guests.alive()) == {vm}

    def test_pause_and_resume(self, house: House) -> None:
        """A guest that was given up meanwhile is dialled again."""
        vm = house.bring_up("a")
        result(house.machines.plain("a", "pause"))
        house.drop(vm)
        result(house.machines.resume("a"))
        assert house.dialled == {vm}

    def test_remove(self, house: House) -> None:
        """What it ran is lost; nobody is let in by its name."""
        vm = house.bring_up("a")
        house.run("c", vm)
        result(house.machines.remove("a"))
        assert house.state("c", vm) == "lost"
        assert (house.ledger.guests(), house.admitted, house.dialled) == ([], set(), set())

    def test_capability(self, house: House) -> None:
        """What the hypervisor cannot do is refused, and the sentence says what it can."""
        house.make("a")
        with pytest.raises(Unsupported, match="memory has no screenshot; beyond the common verbs it has: IMetrics"):
            result(house.machines.optional(IScreenshot, "a", "screenshot"))

    def test_daemon_starts_again(self, house: House) -> None:
        """Its guests are let in; those that run are dialled; what was removed behind our back is told so."""
        runs, rests, gone = house.bring_up("runs"), house.make("rests"), house.bring_up("gone")
        house.run("c", gone)
        house.dialled.clear()
        house.admitted.clear()
        del house.hypervisor.vms[gone]
        result(house.machines.open())
        assert (house.dialled, house.admitted) == ({runs}, {runs, rests})
        assert house.ledger.guest(gone) is None
        assert house.state("c", gone) == "lost"

    def test_daemon_stops(self, house: House) -> None:
        """Everybody is let go, and the hypervisor is told what becomes of the machines."""
        house.bring_up("a")
        result(house.machines.close(True))
        assert house.dialled == set()
        assert house.hypervisor.log[-1] == ("disconnect", True)


class TestSnapshots:
    """A snapshot holds commands, and an older session than whatever follows it."""

    def test_taken(self, house: House) -> None:
        """It notes what runs, and asks the guest into a new session."""
        vm = house.bring_up("a")
        house.run("c", vm)
        house.hear(vm, CmdAccepted("c"))
        before = house.ledger.guest(vm)
        house.said()
        result(house.machines.take_snapshot("a", "one", "first"))
        assert house.said(Who) == [(vm, Who())]
        ((told),) = result(house.machines.snapshots("a"))
        assert told == {"name": "one", "description": "first", "taken": 1.0, "commands": ["c"]}
        house.join(vm, nonce="after")
        after = house.ledger.guest(vm)
        assert before is not None
        assert after is not None
        assert after.session > before.session

    @pytest.mark.parametrize(("state", "asked"), [("PAUSED", True), ("SAVED", False), ("POWERED_OFF", False)])
    def test_of_one_that_does_not_run(self, house: House, state: str, asked: bool) -> None:
        """Who is paused will hear the question when it goes on; who is off will ask to join by itself."""
        vm = house.make("a")
        house.hypervisor.vms[vm] = Machine(vm, "a", "default", MachineState[state])
        result(house.machines.take_snapshot("a", "one", ""))
        assert bool(house.said(Who)) is asked

    def test_fails(self, house: House) -> None:
        """Nothing is noted."""
        house.make("a")
        result(house.machines.take_snapshot("a", "one", ""))
        with pytest.raises(SnapshotExists):
            result(house.machines.take_snapshot("a", "one", ""))
        with pytest.raises(BadName, match="no name for a snapshot"):
            result(house.machines.take_snapshot("a", "a/b", ""))

    def test_restored(self, house: House) -> None:
        """The newest without a name; the ledger knows of it before it is done."""
        vm = house.bring_up("a")
        for name in ("one", "two"):
            result(house.machines.take_snapshot("a", name, ""))
        with pytest.raises(BadState, match="power it off"):
            result(house.machines.restore_snapshot("a", ""))
        result(house.machines.stop("a", "powerOff"))
        result(house.machines.restore_snapshot("a", ""))
        assert house.hypervisor.log[-1] == ("restoreSnapshot two", vm)
        guest = house.ledger.guest(vm)
        assert guest is not None
        assert guest.restored

    def test_unknown(self, house: House) -> None:
        """The sentence names those that there are."""
        house.make("a")
        with pytest.raises(UnknownSnapshot, match="it has none"):
            result(house.machines.restore_snapshot("a", ""))
        result(house.machines.take_snapshot("a", "one", ""))
        with pytest.raises(UnknownSnapshot, match="it has one"):
            result(house.machines.restore_snapshot("a", "two"))
        with pytest.raises(UnknownSnapshot):
            result(house.machines.delete_snapshot("a", "two"))

    def test_deleted(self, house: House) -> None:
        """With the note of what it holds."""
        vm = house.bring_up("a")
        house.run("c", vm)
        result(house.machines.take_snapshot("a", "one", ""))
        result(house.machines.delete_snapshot("a", "one"))
        assert result(house.machines.snapshots("a")) == []
        assert house.ledger.held(vm, "one") == []
