"""What the agent says and does, by docs/reference/words.md; nothing here is real but the journal."""

from __future__ import annotations

from tests.vmcontroller_guest.doubles import AgentTestCase, exited
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
    Hello,
    Ping,
    Pong,
    StillAlive,
    Verdict,
    Who,
)


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

    def test_still_alive_comes_right_after_welcome(self) -> None:
        """The host knows at once how the machine is doing, and an interval later again."""
        self.guest.agent.connected()
        self.guest.clock.advance(9)
        self.guest.agent.hear(self.guest.welcome(1))
        self.assertEqual(len(self.guest.heard(StillAlive)), 1)
        self.guest.clock.advance(9)
        self.assertEqual(len(self.guest.heard(StillAlive)), 1)
        self.guest.clock.advance(1)
        self.assertEqual(len(self.guest.heard(StillAlive)), 2)

    def test_still_alive_comes_every_interval(self) -> None:
        """With the live resources of what runs, once it has joined."""
        self.guest.agent.connected()
        self.guest.clock.advance(10)
        self.assertEqual(self.guest.heard(StillAlive), [])
        self.guest.agent.hear(self.guest.welcome(1))
        self.guest.forget()
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
