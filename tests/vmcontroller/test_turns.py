"""Few machines boot at once, and one snapshot is taken at a time."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from vmcontroller.turns import BOOT_PATIENCE, Turns


class Booting:
    """Machines whose starts and agents the test lets through one by one."""

    def __init__(self, most: int) -> None:
        self.begun: list[str] = []
        self.start_ends: dict[str, Deferred[None]] = {}
        self.agent_comes: dict[str, Deferred[bool]] = {}
        self.turns = Turns(most, self._until_there)

    async def _until_there(self, vm: str, seconds: float) -> bool:
        assert seconds == BOOT_PATIENCE
        self.agent_comes[vm] = Deferred()
        return await self.agent_comes[vm]

    def boot(self, vm: str) -> Deferred[None]:
        async def start() -> None:
            self.begun.append(vm)
            self.start_ends[vm] = Deferred()
            await self.start_ends[vm]

        return Deferred.fromCoroutine(self.turns.boot(vm, start))


class TurnsTests(SynchronousTestCase):
    """Whose turn it is."""

    def test_a_boot_lasts_until_the_agent_is_there(self) -> None:
        """Whoever asked has its answer when the machine runs; the next one begins when the agent is there."""
        machines = Booting(1)
        first, second = machines.boot("a"), machines.boot("b")
        machines.start_ends["a"].callback(None)
        self.successResultOf(first)
        self.assertEqual(machines.begun, ["a"])
        machines.agent_comes["a"].callback(True)
        self.assertEqual(machines.begun, ["a", "b"])
        self.assertNoResult(second)

    def test_an_agent_that_never_comes(self) -> None:
        """It keeps the others waiting for its patience, and no longer."""
        machines = Booting(1)
        machines.boot("a")
        machines.start_ends["a"].callback(None)
        machines.boot("b")
        machines.agent_comes["a"].callback(False)
        self.assertEqual(machines.begun, ["a", "b"])

    def test_a_machine_that_ends_while_it_boots(self) -> None:
        """Removed, or powered off: nobody waits for its agent any more. Afterwards it may boot again."""
        machines = Booting(1)
        machines.boot("a")
        machines.start_ends["a"].callback(None)
        machines.boot("b")
        machines.turns.over("a")
        machines.turns.over("a")
        self.assertEqual(machines.begun, ["a", "b"])
        machines.start_ends["b"].callback(None)
        machines.agent_comes["b"].callback(True)
        machines.turns.over("b")
        machines.boot("a")
        self.assertEqual(machines.begun, ["a", "b", "a"])

    def test_a_start_that_fails(self) -> None:
        """The next one's turn comes at once."""
        machines = Booting(1)
        first = machines.boot("a")
        machines.boot("b")
        machines.start_ends["a"].errback(ValueError("no"))
        self.failureResultOf(first, ValueError)
        self.assertEqual(machines.begun, ["a", "b"])

    def test_several_at_once(self) -> None:
        """As many as the setting says."""
        machines = Booting(2)
        for vm in "abc":
            machines.boot(vm)
        self.assertEqual(machines.begun, ["a", "b"])

    def test_snapshots_one_by_one(self) -> None:
        """The second begins when the first has ended, well or not."""
        turns, under_way = Booting(1).turns, Deferred[None]()
        begun: list[str] = []

        async def take(which: str) -> None:
            begun.append(which)
            if which == "a":
                await under_way

        first = Deferred.fromCoroutine(turns.snapshot(lambda: take("a")))
        second = Deferred.fromCoroutine(turns.snapshot(lambda: take("b")))
        self.assertEqual(begun, ["a"])
        under_way.errback(ValueError("no"))
        self.failureResultOf(first, ValueError)
        self.successResultOf(second)
        self.assertEqual(begun, ["a", "b"])
