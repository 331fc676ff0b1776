"""How the agent joins a session, by docs/reference/words.md; nothing here is real but the journal."""

from __future__ import annotations

from tests.vmcontroller_guest.doubles import SECRET, AgentTestCase, Guest, exited, temporary_directory
from vmcontroller.wire.keys import welcome_proof
from vmcontroller.wire.words import (
    CHUNK,
    Aint,
    CmdAck,
    CmdResults,
    CmdSignal,
    Hello,
    StillAlive,
    Verdict,
    Welcome,
    Who,
)


class Joining(AgentTestCase):
    def test_says_hello_with_one_nonce_until_it_is_welcomed(self) -> None:
        """HELLO is repeated after 1, 2, 4, 5, 5 seconds with the same nonce, and no more after WELCOME."""
        self.guest.agent.connected()
        for wait in (1, 2, 4, 5, 5):
            count = len(self.guest.heard(Hello))
            self.guest.clock.advance(wait - 0.1)
            self.assertEqual(len(self.guest.heard(Hello)), count)
            self.guest.clock.advance(0.1)
            self.assertEqual(len(self.guest.heard(Hello)), count + 1)
        self.assertEqual(len({word.nonce for word in self.guest.heard(Hello)}), 1)
        self.guest.agent.hear(self.guest.welcome(7))
        self.guest.forget()
        self.guest.clock.advance(9)
        self.assertEqual(self.guest.heard(Hello), [])

    def test_confirms_the_session_that_it_wrote_down(self) -> None:
        """The number is in the journal when CMD_ACK of session is said, and stands in the next HELLO."""
        self.guest.join(7)
        self.assertEqual(self.guest.last(CmdAck), CmdAck("-", "session", 7))
        self.restart()
        self.guest.agent.connected()
        self.assertEqual(self.guest.last(Hello).session, 7)

    def test_the_journal_has_one_id_for_ever(self) -> None:
        """The same disk is the same journal; another disk is another."""
        first = self.guest.journal.id
        self.restart()
        self.assertEqual(self.guest.journal.id, first)
        other = Guest(temporary_directory(self))
        self.addCleanup(other.close)
        self.assertNotEqual(other.journal.id, first)

    def test_who_is_a_new_occasion(self) -> None:
        """WHO brings a HELLO with another nonce; the WELCOME to the older one is void then."""
        self.guest.agent.connected()
        stale = self.guest.welcome(3)
        self.guest.agent.hear(Who())
        self.assertNotEqual(self.guest.last(Hello).nonce, stale.nonce)
        self.guest.agent.hear(stale)
        self.assertEqual(self.guest.heard(CmdAck), [])

    def test_a_second_welcome_is_confirmed_again_and_changes_nothing(self) -> None:
        self.guest.join(4)
        self.guest.agent.hear(self.guest.welcome(4))
        self.assertEqual(self.guest.heard(CmdAck), [CmdAck("-", "session", 4)] * 2)
        self.assertEqual(self.guest.set_clocks, [5000.0])

    def test_a_wrong_proof_is_answered_with_aint(self) -> None:
        """Whoever does not know the secret opens no session."""
        self.guest.agent.connected()
        self.guest.agent.hear(self.guest.welcome(2, secret="another"))
        self.assertIn("proof", self.guest.last(Aint).why)
        self.assertEqual(self.guest.heard(CmdAck), [])
        self.assertEqual(self.guest.journal.session, 0)

    def test_a_proof_for_another_vm_is_wrong(self) -> None:
        self.guest.agent.connected()
        nonce = self.guest.last(Hello).nonce
        self.guest.agent.hear(Welcome(2, nonce, welcome_proof(SECRET, "vm-2", nonce, 2), 0.0))
        self.assertEqual(self.guest.heard(CmdAck), [])

    def test_a_session_that_is_not_larger_is_refused(self) -> None:
        """Numbers only ever grow."""
        self.guest.join(5)
        self.guest.agent.hear(Who())
        self.guest.agent.hear(self.guest.welcome(5))
        self.assertEqual(self.guest.journal.session, 5)
        self.assertIn("larger", self.guest.last(Aint).why)

    def test_without_a_secret_no_proof_is_demanded(self) -> None:
        guest = Guest(temporary_directory(self), secret="")
        self.addCleanup(guest.close)
        guest.agent.connected()
        guest.agent.hear(Welcome(1, guest.last(Hello).nonce, "", 0.0))
        self.assertEqual(guest.last(CmdAck), CmdAck("-", "session", 1))

    def test_welcome_sets_the_clock(self) -> None:
        self.guest.join()
        self.assertEqual(self.guest.set_clocks, [5000.0])

    def test_each_connection_is_a_new_occasion(self) -> None:
        self.guest.join(1)
        first = self.guest.last(Hello).nonce
        self.guest.agent.disconnected()
        self.guest.agent.connected()
        self.assertNotEqual(self.guest.last(Hello).nonce, first)

    def test_says_nothing_while_disconnected(self) -> None:
        self.guest.join(1)
        process = self.guest.run("c1")
        self.guest.agent.disconnected()
        self.guest.forget()
        process.listener.output("out", b"hello")
        process.listener.ended(exited())
        self.guest.clock.advance(60)
        self.assertEqual(self.guest.said, [])


class Verdicts(AgentTestCase):
    def finished(self, cmd_id: str, session: int = 1) -> None:
        self.guest.run(cmd_id, session=session).listener.ended(exited())

    def test_forget_leaves_a_tombstone(self) -> None:
        self.guest.join()
        self.finished("c1")
        self.guest.agent.disconnected()
        self.guest.forget()
        self.guest.join(2, {"c1": Verdict("forget")})
        self.assertEqual(self.guest.heard(CmdResults), [])
        self.guest.agent.hear(Who())
        self.assertEqual(self.guest.last(Hello).commands, {})
        self.guest.run("c1", session=9)
        self.assertEqual(self.guest.last(CmdResults).outcome, "exited")

    def test_keep_says_the_result_at_once(self) -> None:
        self.guest.join()
        self.finished("c1")
        self.guest.agent.disconnected()
        self.guest.forget()
        self.guest.join(2, {"c1": Verdict("keep")})
        self.assertEqual([type(word) for word in self.guest.said], [Hello, CmdAck, StillAlive, CmdResults])

    def test_a_foreign_command_is_kept_in_silence(self) -> None:
        """It goes on, stands in HELLO, and is spoken of by no other word until another verdict comes."""
        self.guest.join()
        process = self.guest.run("c1")
        self.guest.agent.disconnected()
        self.guest.join(2, {"c1": Verdict("foreign")})
        self.guest.forget()
        self.guest.executor.live = {"c1": {"processes": 1.0}}
        process.listener.output("out", bytes(2 * CHUNK))
        self.guest.clock.advance(30)
        process.listener.ended(exited())
        self.guest.clock.advance(30)
        self.assertEqual({type(word) for word in self.guest.said}, {StillAlive})
        self.assertEqual(self.guest.last(StillAlive).commands, {})
        self.guest.agent.hear(Who())
        self.assertEqual(self.guest.last(Hello).commands["c1"].out, 2 * CHUNK)
        self.guest.agent.hear(self.guest.welcome(3, {"c1": Verdict("keep")}))
        self.assertEqual(self.guest.last(CmdResults).cmd_id, "c1")

    def test_a_foreign_command_obeys_signals(self) -> None:
        """The operator may end it."""
        self.guest.join()
        process = self.guest.run("c1")
        self.guest.agent.disconnected()
        self.guest.join(2, {"c1": Verdict("foreign")})
        self.guest.agent.hear(CmdSignal("c1", "s1", 9))
        self.assertEqual(process.signals, [9])

    def test_no_verdict_is_no_voice(self) -> None:
        """A command of which WELCOME says nothing is treated as foreign."""
        self.guest.join()
        self.finished("c1")
        self.guest.agent.disconnected()
        self.guest.forget()
        self.guest.join(2)
        self.assertEqual(self.guest.heard(CmdResults), [])
