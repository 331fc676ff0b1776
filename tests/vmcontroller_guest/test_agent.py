"""What the agent says and does, by docs/reference/words.md; nothing here is real but the journal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.vmcontroller_guest.doubles import SECRET, Guest, exited, temporary_directory
from vmcontroller.wire.keys import welcome_proof
from vmcontroller.wire.words import (
    CHUNK,
    WINDOW,
    Aint,
    Bye,
    CmdAccepted,
    CmdAck,
    CmdOutput,
    CmdResults,
    CmdRun,
    CmdSignal,
    CmdStdin,
    Hello,
    Ping,
    Pong,
    Stdin,
    StillAlive,
    Verdict,
    Welcome,
    Who,
)


class AgentTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = temporary_directory(self)
        self.guest = Guest(self.directory)

    def tearDown(self) -> None:
        self.guest.close()

    def restart(self) -> None:
        """kill -9, and the next life of the agent on the same disk."""
        self.guest.close()
        self.guest = Guest(self.directory)


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


class Running(AgentTestCase):
    def test_runs_nothing_before_the_proof(self) -> None:
        """CMD_RUN before WELCOME is met with silence, whoever says it."""
        self.guest.agent.connected()
        self.assertIsNone(self.guest.run("c1"))
        self.assertEqual(self.guest.heard(CmdAccepted), [])
        self.assertIsNone(self.guest.journal.find("c1"))

    def test_starts_nothing_between_who_and_welcome(self) -> None:
        self.guest.join(1)
        self.guest.agent.hear(Who())
        self.assertIsNone(self.guest.run("c1", session=9))

    def test_ignores_what_is_not_for_it(self) -> None:
        """Another audience, or a command from before it joined."""
        self.guest.join(5)
        self.guest.agent.hear(CmdRun("c1", "prog", 9, ("vm-2", "vm-3")))
        self.guest.run("c2", session=4)
        self.assertEqual(self.guest.executor.starts, [])
        self.assertEqual(self.guest.heard(CmdAccepted), [])

    def test_a_command_runs_once_however_often_it_comes(self) -> None:
        """The first CMD_RUN starts it, each is answered with CMD_ACCEPTED."""
        self.guest.join()
        for _ in range(3):
            self.guest.run("c1")
        self.assertEqual(self.guest.executor.starts, ["c1"])
        self.assertEqual(self.guest.heard(CmdAccepted), [CmdAccepted("c1")] * 3)

    def test_it_is_in_the_journal_before_it_starts(self) -> None:
        self.guest.join()
        states = []
        start = self.guest.executor.start

        def look(run, listener):
            states.append((self.guest.journal.find("c1").state, self.guest.heard(CmdAccepted)))
            return start(run, listener)

        self.guest.executor.start = look
        self.guest.run("c1")
        self.assertEqual(states, [("running", [CmdAccepted("c1")])])

    def test_what_cannot_be_started_has_a_reason(self) -> None:
        self.guest.join()
        self.guest.executor.refusals["nope"] = "nope: there is no such program."
        self.guest.run("c1", "nope")
        results = self.guest.last(CmdResults)
        self.assertEqual((results.outcome, results.exit_code_or_signal), ("notStarted", -1))
        self.assertEqual(results.reason, "nope: there is no such program.")

    def test_a_short_command_sends_its_output_with_its_result(self) -> None:
        """What ended before anything was sent comes in CMD_RESULTS alone."""
        self.guest.join()
        process = self.guest.run("c1")
        process.listener.output("out", b"42\n")
        process.listener.output("err", b"\xff\xfe")
        process.listener.ended(exited(3))
        self.guest.clock.advance(1)
        self.assertEqual(self.guest.heard(CmdOutput), [])
        results = self.guest.last(CmdResults)
        self.assertEqual((results.outcome, results.exit_code_or_signal, results.seconds), ("exited", 3, 1.5))
        self.assertEqual((results.out.whole(), results.err.whole()), (b"42\n", b"\xff\xfe"))
        self.assertEqual(results.started, 1000.0)

    def test_the_result_is_repeated_until_it_is_confirmed(self) -> None:
        """After 2, 4, 8, 16, 30, 30 seconds; CMD_ACK ends it, and a tombstone stays."""
        self.guest.join()
        self.guest.run("c1").listener.ended(exited())
        for wait in (2, 4, 8, 16, 30, 30):
            self.guest.forget()
            self.guest.clock.advance(wait)
            self.assertEqual(len(self.guest.heard(CmdResults)), 1)
        self.guest.agent.hear(CmdAck("c1", "results"))
        self.guest.forget()
        self.guest.clock.advance(60)
        self.assertEqual(self.guest.heard(CmdResults), [])
        self.guest.run("c1")
        self.assertEqual(self.guest.last(CmdResults), CmdResults("c1", "exited"))
        self.assertEqual(self.guest.executor.starts, ["c1"])

    def test_an_early_confirmation_of_the_result_is_ignored(self) -> None:
        """While it runs there is nothing to confirm."""
        self.guest.join()
        process = self.guest.run("c1")
        self.guest.agent.hear(CmdAck("c1", "results"))
        process.listener.ended(exited())
        self.assertEqual(self.guest.last(CmdResults).outcome, "exited")


class Output(AgentTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.guest.join()
        self.process = self.guest.run("c1")
        self.guest.forget()

    def received(self, stream: str = "out") -> bytes:
        """What a host would have of the words said so far, in order and without gaps."""
        have = b""
        for word in self.guest.heard(CmdOutput):
            if word.stream == stream and word.offset <= len(have):
                have = have[: word.offset] + word.data
        return have

    def test_output_is_gathered_for_a_moment(self) -> None:
        """Several writes within 20 ms are one word."""
        self.process.listener.output("out", b"one ")
        self.guest.clock.advance(0.01)
        self.process.listener.output("out", b"two")
        self.assertEqual(self.guest.heard(CmdOutput), [])
        self.guest.clock.advance(0.01)
        self.assertEqual(self.guest.heard(CmdOutput), [CmdOutput("c1", "out", 0, b"one two")])

    def test_at_most_one_window_is_under_way(self) -> None:
        """1 MiB unconfirmed; each confirmation lets as much follow."""
        for _ in range(40):
            self.process.listener.output("out", bytes(CHUNK))
        self.assertEqual(len(self.received()), WINDOW)
        self.assertTrue(all(len(word.data) <= CHUNK for word in self.guest.heard(CmdOutput)))
        self.guest.agent.hear(CmdAck("c1", "out", 100))
        self.assertEqual(len(self.received()), WINDOW + 100)

    def test_sends_again_from_the_confirmed_offset(self) -> None:
        """After 5 s without a confirmation."""
        self.process.listener.output("out", b"0123456789")
        self.guest.clock.advance(0.02)
        self.guest.agent.hear(CmdAck("c1", "out", 4))
        self.guest.forget()
        self.guest.clock.advance(4.9)
        self.assertEqual(self.guest.heard(CmdOutput), [])
        self.guest.clock.advance(0.1)
        self.assertEqual(self.guest.heard(CmdOutput), [CmdOutput("c1", "out", 4, b"456789")])

    def test_a_confirmation_of_what_was_never_sent_is_ignored(self) -> None:
        self.process.listener.output("out", b"0123456789")
        self.guest.clock.advance(0.02)
        self.guest.agent.hear(CmdAck("c1", "out", 11))
        self.guest.forget()
        self.guest.clock.advance(5)
        self.assertEqual(self.guest.last(CmdOutput).offset, 0)

    def test_a_new_session_goes_on_where_the_host_is(self) -> None:
        self.process.listener.output("out", b"0123456789")
        self.guest.clock.advance(0.02)
        self.guest.agent.disconnected()
        self.guest.forget()
        self.guest.join(2, {"c1": Verdict("keep", 7, 0)})
        self.assertEqual(self.guest.heard(CmdOutput), [CmdOutput("c1", "out", 7, b"789")])

    def test_no_output_is_said_before_the_proof(self) -> None:
        """Between HELLO and WELCOME the host may still have to cut what it stored."""
        self.guest.agent.hear(Who())
        self.process.listener.output("out", b"0123456789")
        self.process.listener.ended(exited())
        self.guest.clock.advance(0.5)
        self.assertEqual(self.guest.heard(CmdOutput) + self.guest.heard(CmdResults), [])
        self.assertEqual(self.guest.last(Hello).commands["c1"].state, "running")
        self.guest.clock.advance(1)
        self.assertEqual(self.guest.last(Hello).commands["c1"].state, "finished")

    def test_a_full_spool_stops_reading(self) -> None:
        """The program is slowed, never cut; it goes on when the host has caught up."""
        for _ in range(1024):
            self.assertEqual(self.process.paused, set())
            self.process.listener.output("out", bytes(CHUNK))
        self.assertEqual(self.process.paused, {"out"})
        self.guest.agent.hear(CmdAck("c1", "out", CHUNK))
        self.assertEqual(self.process.paused, set())

    def test_confirmed_octets_are_freed(self) -> None:
        """All but the last segment, which tells where the stream ends."""
        for step in range(1, 33):
            self.process.listener.output("out", bytes(CHUNK))
            self.guest.agent.hear(CmdAck("c1", "out", step * CHUNK))
        self.assertEqual([path.name for path in (self.directory / "spool").iterdir()], ["c1.out.1"])

    def test_the_result_of_a_long_stream_follows_its_last_octet(self) -> None:
        """It brings length and SHA-256; the octets come as CMD_OUTPUT, all of them before it."""
        data = bytes(range(256)) * 8192
        for at in range(0, len(data), CHUNK):
            self.process.listener.output("out", data[at : at + CHUNK])
        self.process.listener.ended(exited())
        self.assertEqual(self.guest.heard(CmdResults), [])
        self.guest.agent.hear(CmdAck("c1", "out", WINDOW))
        self.assertEqual(self.received(), data)
        results = self.guest.last(CmdResults)
        self.assertIs(self.guest.said[-1], results)
        self.assertEqual((results.out.length, results.out.whole()), (len(data), None))
        self.guest.agent.hear(CmdAck("c1", "out", len(data)))
        self.guest.agent.hear(CmdAck("c1", "results"))
        self.assertEqual(list((self.directory / "spool").iterdir()), [])

    def test_a_slow_network_holds_output_back(self) -> None:
        """While the link has more than it can carry nothing large is added to it."""
        self.guest.agent.hold()
        self.process.listener.output("out", bytes(CHUNK))
        self.process.listener.ended(exited())
        self.assertEqual(self.guest.said, [])
        self.guest.agent.hear(Ping("p", "1"))
        self.guest.agent.release()
        self.assertEqual([type(word) for word in self.guest.said], [Pong, CmdResults])


class StdinAndSignals(AgentTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.guest.join()
        self.process = self.guest.run("c1", stdin=Stdin("stream"))
        self.guest.forget()

    def acks(self, of: str) -> list[int]:
        return [word.offset for word in self.guest.heard(CmdAck) if word.of == of]

    def test_input_is_confirmed_when_the_program_took_it(self) -> None:
        self.guest.agent.hear(CmdStdin("c1", 0, False, b"hello"))
        self.assertEqual((self.process.input, self.acks("stdin")), (b"hello", []))
        self.process.listener.consumed(5)
        self.assertEqual(self.acks("stdin"), [5])

    def test_drops_what_it_has_and_ignores_a_gap(self) -> None:
        """Both are answered with how far the input has got."""
        self.guest.agent.hear(CmdStdin("c1", 0, False, b"hello"))
        self.process.listener.consumed(5)
        self.guest.agent.hear(CmdStdin("c1", 3, False, b"lo w"))
        self.guest.agent.hear(CmdStdin("c1", 50, False, b"gap"))
        self.guest.agent.hear(CmdStdin("c1", 0, False, b"hell"))
        self.assertEqual(self.process.input, b"hello w")
        self.assertEqual(self.acks("stdin"), [5, 5, 5])

    def test_the_end_of_input_comes_once(self) -> None:
        """With the last octets or alone, and never before what it follows."""
        self.guest.agent.hear(CmdStdin("c1", 5, True, b""))
        self.assertFalse(self.process.input_closed)
        self.guest.agent.hear(CmdStdin("c1", 0, False, b"hello"))
        self.guest.agent.hear(CmdStdin("c1", 5, True, b""))
        self.assertTrue(self.process.input_closed)

    def test_more_than_a_host_may_send_is_not_taken(self) -> None:
        """What the program does not read must not grow the agent."""
        for at in range(0, 4 * WINDOW, CHUNK):
            self.guest.agent.hear(CmdStdin("c1", at, False, bytes(CHUNK)))
        self.assertEqual(len(self.process.input), 2 * WINDOW)

    def test_input_for_an_ended_command_is_confirmed_and_dropped(self) -> None:
        self.process.listener.ended(exited())
        self.guest.agent.hear(CmdStdin("c1", 0, True, b"late"))
        self.assertEqual(self.acks("stdin"), [4])

    def test_a_signal_is_sent_once_per_id(self) -> None:
        for signal_id in ("s1", "s1", "s2"):
            self.guest.agent.hear(CmdSignal("c1", signal_id, 15))
        self.assertEqual(self.process.signals, [15, 15])
        self.assertEqual([word.signal_id for word in self.guest.heard(CmdAck)], ["s1", "s1", "s2"])

    def test_an_impossible_signal_is_confirmed_and_told(self) -> None:
        self.guest.agent.hear(CmdSignal("c1", "s1", 99))
        self.assertIn("99", self.guest.last(Aint).why)
        self.assertEqual(self.guest.last(CmdAck).signal_id, "s1")

    def test_what_a_tombstone_is_told_is_confirmed(self) -> None:
        """So that the host need not repeat it; an unknown command is met with silence."""
        self.process.listener.ended(exited())
        self.guest.agent.hear(CmdAck("c1", "results"))
        self.guest.forget()
        self.guest.agent.hear(CmdSignal("c1", "s1", 15))
        self.guest.agent.hear(CmdStdin("c1", 0, True, b"late"))
        self.guest.agent.hear(CmdSignal("c2", "s2", 15))
        self.assertEqual([word.of for word in self.guest.heard(CmdAck)], ["signal", "stdin"])

    def test_nothing_is_obeyed_before_the_proof(self) -> None:
        """Neither signals nor input nor confirmations."""
        self.guest.agent.disconnected()
        self.guest.agent.connected()
        self.guest.agent.hear(CmdSignal("c1", "s1", 9))
        self.guest.agent.hear(CmdStdin("c1", 0, False, b"hello"))
        self.assertEqual((self.process.signals, self.process.input, self.guest.heard(CmdAck)), ([], b"", []))


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
        self.assertEqual([type(word) for word in self.guest.said], [Hello, CmdAck, CmdResults])

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


class Lives(AgentTestCase):
    def test_what_ran_when_the_agent_died_is_lost(self) -> None:
        """Its processes are ended first; HELLO says dead, CMD_RESULTS brings the output that was saved."""
        self.guest.join()
        process = self.guest.run("c1")
        process.listener.output("out", b"saved")
        self.guest.clock.advance(0.02)
        process.listener.output("out", b", not saved")
        self.restart()
        self.assertEqual([left.pid for left in self.guest.executor.ended_remains], [process.pid])
        self.guest.agent.connected()
        report = self.guest.last(Hello).commands["c1"]
        self.assertEqual((report.state, report.out), ("dead", 5))
        self.guest.agent.hear(self.guest.welcome(2, {"c1": Verdict("keep", 5)}))
        results = self.guest.last(CmdResults)
        self.assertEqual((results.outcome, results.exit_code_or_signal), ("lost", -1))
        self.assertEqual(results.out.whole(), b"saved")
        self.assertIn("agent", results.reason)

    def test_dead_stays_dead_over_another_life(self) -> None:
        self.guest.join()
        self.guest.run("c1")
        self.restart()
        self.restart()
        self.guest.agent.connected()
        self.assertEqual(self.guest.last(Hello).commands["c1"].state, "dead")

    def test_the_rest_of_a_long_stream_survives(self) -> None:
        """A lost command's spool is sent from where the host is, its length known, its checksum not."""
        self.guest.join()
        process = self.guest.run("c1")
        data = bytes(range(256)) * 10240
        for at in range(0, len(data), CHUNK):
            process.listener.output("out", data[at : at + CHUNK])
        self.guest.agent.hear(CmdAck("c1", "out", WINDOW))
        self.restart()
        self.guest.join(2, {"c1": Verdict("keep", WINDOW + 5)})
        self.guest.agent.hear(CmdAck("c1", "out", 2 * WINDOW))
        sent = b"".join(word.data for word in self.guest.heard(CmdOutput))
        self.assertEqual(sent, data[WINDOW + 5 :])
        results = self.guest.last(CmdResults)
        self.assertEqual((results.out.length, results.out.sha256), (len(data), ""))

    def test_an_unsaid_result_survives(self) -> None:
        """A finished command is finished in the next life too, with its result and output."""
        self.guest.join()
        process = self.guest.run("c1")
        self.guest.agent.disconnected()
        process.listener.output("out", b"whole")
        process.listener.ended(exited(5))
        self.restart()
        self.guest.join(2, {"c1": Verdict("keep")})
        results = self.guest.last(CmdResults)
        self.assertEqual((results.outcome, results.exit_code_or_signal, results.out.text), ("exited", 5, "whole"))
        self.assertEqual(self.guest.executor.ended_remains, [])

    def test_a_tombstone_survives(self) -> None:
        self.guest.join()
        self.guest.run("c1").listener.ended(exited())
        self.guest.agent.hear(CmdAck("c1", "results"))
        self.restart()
        self.guest.join(2)
        self.guest.run("c1", session=2)
        self.assertEqual((self.guest.executor.starts, self.guest.last(CmdResults).outcome), ([], "exited"))

    def test_stop_says_bye_and_keeps_the_output(self) -> None:
        """After an orderly stop its commands are lost like any other, with all that they had printed."""
        self.guest.join()
        self.guest.run("c1").listener.output("out", b"gathered")
        gone: list[bool] = []
        self.guest.agent.stop("the machine goes down", lambda: gone.append(True))
        self.assertEqual((gone, self.guest.last(Bye).reason), ([True], "the machine goes down"))
        self.assertEqual(self.guest.clock.getDelayedCalls(), [])
        self.restart()
        self.guest.join(2, {"c1": Verdict("keep")})
        self.assertEqual(self.guest.last(CmdResults).out.text, "gathered")


class SmallTalk(AgentTestCase):
    def test_ping_is_answered_at_once(self) -> None:
        """Before the proof, too: it says no more than that somebody is there."""
        self.guest.agent.connected()
        self.guest.agent.hear(Ping("p1", "12.5"))
        self.assertEqual(self.guest.last(Pong), Pong("p1", "12.5"))

    def test_still_alive_comes_every_interval(self) -> None:
        """With the live resources of what runs, once it has joined."""
        self.guest.agent.connected()
        self.guest.clock.advance(10)
        self.assertEqual(self.guest.heard(StillAlive), [])
        self.guest.agent.hear(self.guest.welcome(1))
        self.guest.run("c1")
        self.guest.executor.live = {"c1": {"ru_utime": 2.0, "processes": 3.0}}
        self.guest.clock.pump([10, 10])
        self.assertEqual([word.commands for word in self.guest.heard(StillAlive)], [self.guest.executor.live] * 2)

    def test_a_word_that_guests_say_is_answered_with_aint(self) -> None:
        self.guest.join()
        self.guest.agent.hear(CmdAccepted("c1"))
        self.assertIn("guests", self.guest.last(Aint).why)

    def test_aint_is_never_answered(self) -> None:
        self.guest.join()
        self.guest.forget()
        self.guest.agent.hear(Aint("CMD_RUN", "what?"))
        self.assertEqual(self.guest.said, [])
