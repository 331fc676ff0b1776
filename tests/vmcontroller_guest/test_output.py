"""What the agent does with a command's output, input and signals; nothing here is real but the journal."""

from __future__ import annotations

from tests.vmcontroller_guest.doubles import AgentTestCase, exited
from vmcontroller.wire.words import (
    CHUNK,
    WINDOW,
    Aint,
    CmdAck,
    CmdOutput,
    CmdResults,
    CmdSignal,
    CmdStdin,
    Hello,
    Ping,
    Pong,
    Stdin,
    Verdict,
    Who,
)


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
