"""Each login reaches what its rule names, and nothing else."""

from __future__ import annotations

from tests.vmcontroller.broker.peer import BrokerCase
from vmcontroller.wire.stomp import ProtocolError


class TestRules(BrokerCase):
    """Two guests and a host, as the daemon sets them up."""

    def setUp(self) -> None:
        super().setUp()
        for vm in ("vm1", "vm2"):
            self.allow(vm)
        self.broker.allow("host", "h", read=["/topic/p.#"], write=["/topic/p.#"], flow_control=False)

    def allow(self, vm: str, passcode: str = "g") -> None:
        mine = f"/topic/p.group.{vm}"
        self.broker.allow(vm, passcode, read=[f"{mine}.in", "/topic/p.group.all"], write=[f"{mine}.out"])

    async def guest(self, vm: str = "vm1"):
        return await self.login(vm, passcode="g")

    async def refused(self, frame: str, vm: str = "vm1") -> str:
        peer = await self.guest(vm)
        error = await peer.ask(frame)
        self.assertEqual(error.cmd, "ERROR")
        await peer.end()
        return error.headers["message"]

    async def test_what_a_guest_may(self):
        """It hears what is for it, and the host hears it."""
        guest, host = await self.guest(), await self.login("host", passcode="h")
        await guest.subscribe("/topic/p.group.vm1.in", id="1")
        await guest.subscribe("/topic/p.group.all", id="2")
        await host.subscribe("/topic/p.*.*.out")
        await host.send("/topic/p.group.vm1.in", "for you")
        await host.send("/topic/p.group.all", "for all")
        self.assertEqual(await guest.bodies(2), ["for you", "for all"])
        guest.say("SEND\ndestination:/topic/p.group.vm1.out\n\nfrom me")
        message = await host.frame()
        self.assertEqual(message.headers["destination"], "/topic/p.group.vm1.out")

    async def test_what_a_guest_may_not(self):
        """Another's destinations, the host's, patterns that hold them, and queues."""
        destinations = [
            *("/topic/p.group.vm2.in", "/topic/p.group.vm1.out", "/topic/p.other.all", "/topic/q"),
            *("/topic/p.group.*.in", "/topic/p.group.vm1.*", "/topic/p.group.vm1.in.#", "/topic/#", "/topic/>"),
            *("/queue/p.group.vm1.in", "/queue/#", "/queue/*"),
        ]
        for destination in destinations:
            rule = await self.refused(f"SUBSCRIBE\nid:1\ndestination:{destination}\n\n")
            self.assertEqual(rule, f"'vm1' may not subscribe to '{destination}'")
        for destination in ("/topic/p.group.vm2.out", "/topic/p.group.vm1.in", "/topic/p.group.all", "/queue/a"):
            rule = await self.refused(f"SEND\ndestination:{destination}\n\nx")
            self.assertEqual(rule, f"'vm1' may not send to '{destination}'")

    async def test_the_other_guest_hears_nothing_of_it(self):
        other = await self.guest("vm2")
        await other.subscribe("/topic/p.group.vm2.in")
        await self.refused("SEND\ndestination:/topic/p.group.vm2.in\n\nforged")
        answer = await other.ask("SEND\ndestination:/topic/p.group.vm2.out\nreceipt:r\n\n")
        self.assertEqual(answer.cmd, "RECEIPT")

    async def test_another_ones_passcode(self):
        self.allow("vm3", passcode="other")
        peer = await self.dial()
        error = await peer.ask("CONNECT\nlogin:vm3\npasscode:g\n\n")
        self.assertEqual(error.headers["message"], "the login or the passcode is wrong")

    async def test_forbid(self):
        """The login's connections are cut, others are not, and it does not get in again."""
        guest, other = await self.guest(), await self.login()
        self.broker.forbid("vm1")
        self.assertEqual((await guest.frame()).headers["message"], "'vm1' may no longer log in")
        await guest.end()
        again = await self.dial()
        self.assertEqual((await again.ask("CONNECT\nlogin:vm1\npasscode:g\n\n")).cmd, "ERROR")
        await other.is_undisturbed()

    async def test_the_same_rule_again_changes_nothing(self):
        guest = await self.guest()
        self.allow("vm1")
        answer = await guest.ask("SEND\ndestination:/topic/p.group.vm1.out\nreceipt:r\n\n")
        self.assertEqual(answer.cmd, "RECEIPT")

    async def test_another_rule_replaces_the_first(self):
        """Whoever is in by the old rule must come in by the new one."""
        guest = await self.guest()
        self.allow("vm1", passcode="new")
        self.assertIn("log in again", (await guest.frame()).headers["message"])
        await guest.end()
        await self.login("vm1", passcode="new")

    def test_a_rule_that_is_none(self):
        """A mistake in a rule is told to who makes it, and changes nothing."""
        with self.assertRaises(ProtocolError):
            self.broker.allow("vm1", "x", read=["p.group.vm1.in"])


class TestClose(BrokerCase):
    """The end of the broker."""

    async def test_all_connections_are_cut(self):
        """When it has fired, nobody is connected and nothing is left to happen (trial looks at that)."""
        peers = [await self.dial(), await self.login(more="heart-beat:100,100\n")]
        await self.broker.close()
        for peer in peers:
            await peer.end()

    async def test_afterwards_nobody_gets_in(self):
        await self.broker.close()
        await (await self.dial()).end()
