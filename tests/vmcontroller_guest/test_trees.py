"""Commands of many processes, and what they may use: real programs."""

from __future__ import annotations

import os
import signal
import sys
import time

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.vmcontroller_guest.programs import ExecutorTestCase, Watcher, alive, reactor
from vmcontroller.wire.words import RU_FIELDS, Limits, Stdin
from vmcontroller_guest.census import Census
from vmcontroller_guest.executor import LinuxExecutor
from vmcontroller_guest.interfaces import Remains
from vmcontroller_guest.program import Surroundings


class Limited(ExecutorTestCase):
    async def test_time(self) -> None:
        """SIGTERM at its end, to the whole tree."""
        end, _ = await self.run_to_end("/bin/sh", "-c", "sleep 60 & sleep 60", limits=Limits(seconds=0.2))
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("timedOut", signal.SIGTERM))
        self.assertEqual(end.reason, "It ran longer than its limit of 0.2 s.")

    async def test_time_for_the_deaf(self) -> None:
        """SIGKILL, five seconds after a SIGTERM that was not obeyed."""
        self.patch(sys.modules["vmcontroller_guest.ending"], "GRACE", 0.2)
        script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
        end, _ = await self.run_to_end(sys.executable, "-c", script, limits=Limits(seconds=0.5))
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("timedOut", signal.SIGKILL))

    async def test_time_for_the_obedient(self) -> None:
        """A program that ends in peace after SIGTERM has timed out all the same; what it says last is heard."""
        script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
        end, watcher = await self.run_to_end("/bin/sh", "-c", script, limits=Limits(seconds=0.3))
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("timedOut", signal.SIGTERM))
        self.assertEqual(watcher.out["out"], b"ready\nbye\n")

    async def test_a_stopped_program_times_out(self) -> None:
        end, _ = await self.run_to_end("/bin/sh", "-c", "kill -STOP $$", limits=Limits(seconds=0.2))
        self.assertEqual(end.outcome, "timedOut")

    async def test_processor_time(self) -> None:
        end, _ = await self.run_to_end("/bin/sh", "-c", "while :; do :; done", limits=Limits(cpu_seconds=1))
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("signalled", signal.SIGXCPU))
        self.assertEqual(end.reason, "It used more than its limit of 1 s of processor time.")

    async def test_limits_without_sense_are_none(self) -> None:
        """Below zero, or infinite."""
        for limits in (Limits(seconds=-1, cpu_seconds=-1), Limits(seconds=float("inf"), cpu_seconds=float("inf"))):
            end, _ = await self.run_to_end("true", limits=limits)
            self.assertEqual(end.outcome, "exited")
        end, _ = await self.run_to_end("true", limits=Limits(cpu_seconds=1e300, memory_bytes=2**63 - 1))
        self.assertEqual(end.outcome, "exited")

    async def test_memory(self) -> None:
        script = "import time; time.sleep(0.1); bytearray(300_000_000)"
        limits = Limits(memory_bytes=200_000_000)
        end, watcher = await self.run_to_end(sys.executable, "-c", script, limits=limits)
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("exited", 1))
        self.assertIn(b"MemoryError", watcher.out["err"])

    async def test_output(self) -> None:
        """Who writes for ever is ended at the limit; the stream has exactly that many octets."""
        end, watcher = await self.run_to_end("yes", limits=Limits(output_bytes=100_001))
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("signalled", signal.SIGTERM))
        self.assertEqual(end.reason, "It wrote more to out than its limit of 100001 octets.")
        self.assertEqual(len(watcher.out["out"]), 100_001)

    async def test_output_that_was_too_long_when_it_ended(self) -> None:
        """It has exited by itself; the reason tells that the stream is cut."""
        end, watcher = await self.run_to_end("/bin/sh", "-c", "echo 12345", limits=Limits(output_bytes=3))
        self.assertEqual(watcher.out["out"], b"123")
        self.assertIn("limit of 3 octets", end.reason)


class Orphans(ExecutorTestCase):
    async def pid_from(self, watcher: Watcher) -> int:
        await self.until(lambda: watcher.out["out"].endswith(b"\n"))
        return int(watcher.out["out"])

    async def test_what_a_command_leaves_behind_is_ended(self) -> None:
        """Children in its group."""
        _, watcher = self.sh("sleep 60 & sleep 61 & echo $!")
        end = await watcher.end
        self.assertEqual((end.outcome, end.exit_code_or_signal, end.left), ("exited", 0, 2))
        self.assertFalse(alive(int(watcher.out["out"])))

    async def test_daemons_are_ended_too(self) -> None:
        """One that left its parent, group and session is known by its environment."""
        _, watcher = self.sh("setsid sh -c 'sleep 60 & echo $!' & wait; sleep 0.1")
        end = await watcher.end
        self.assertEqual((end.outcome, end.left), ("exited", 1))
        self.assertFalse(alive(int(watcher.out["out"])))

    async def test_or_left_alone(self) -> None:
        """With orphans "leave"; they may go on writing, and nobody hears it."""
        _, watcher = self.sh("(sleep 0.3; echo more; sleep 60) & echo $!", limits=Limits(orphans="leave"))
        end = await watcher.end
        pid = int(watcher.out["out"])
        self.assertGreaterEqual(end.left, 1)
        await deferLater(reactor, 0.5)
        self.assertTrue(alive(pid))
        self.assertEqual(watcher.out["out"], b"%d\n" % pid)
        members = Census().with_descendants([pid])
        for member in members:
            os.kill(member, signal.SIGKILL)
        await self.until(lambda: not any(map(alive, members)))
        await deferLater(reactor, 0.05)

    async def test_a_command_does_not_wait_for_whoever_holds_its_pipe(self) -> None:
        """It ends when its first process has ended."""
        began = time.monotonic()
        _, watcher = self.sh("setsid sleep 60 & exit 4")
        end = await watcher.end
        self.assertEqual(end.exit_code_or_signal, 4)
        self.assertLess(time.monotonic() - began, 3)

    async def test_signals_reach_the_whole_tree(self) -> None:
        running, watcher = self.sh("setsid sh -c 'sleep 60 & echo $!; wait' & wait")
        pid = await self.pid_from(watcher)
        running.signal(signal.SIGKILL)
        end = await watcher.end
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("signalled", signal.SIGKILL))
        self.assertFalse(alive(pid))

    async def test_an_impossible_signal(self) -> None:
        running, watcher = self.sh("read line", stdin=Stdin("stream"))
        with self.assertRaises(ValueError):
            running.signal(99)
        running.feed(b"", True)
        await watcher.end

    async def test_end_all(self) -> None:
        """Every tree; no end is told."""
        watchers = [self.sh("setsid sleep 60 & echo $!; sleep 60")[1] for _ in range(3)]
        pids = [await self.pid_from(watcher) for watcher in watchers]
        done: Deferred[None] = Deferred()
        self.executor.end_all(lambda: done.callback(None))
        await done
        self.assertFalse(any(map(alive, pids)))
        self.assertFalse(any(watcher.end.called for watcher in watchers))


class Resources(ExecutorTestCase):
    BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"

    async def test_all_fields_are_told(self) -> None:
        end, _ = await self.run_to_end("true")
        self.assertEqual(set(end.resources), set(RU_FIELDS))

    async def test_children_count(self) -> None:
        """Those that the program waited for."""
        script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {self.BURN.format(0.3)!r}])"
        end, _ = await self.run_to_end(sys.executable, "-c", script)
        self.assertGreaterEqual(end.resources["ru_utime"] + end.resources["ru_stime"], 0.29)

    async def test_orphans_count(self) -> None:
        """Those that it did not wait for, once they are ended."""
        burner = self.BURN.format(0.2) + "open('burnt', 'w')\ntime.sleep(60)"
        script = f"'{sys.executable}' -c \"{burner}\" & while ! [ -e burnt ]; do sleep 0.05; done"
        end, _ = await self.run_to_end("/bin/sh", "-c", script)
        self.assertEqual(end.left, 1)
        self.assertGreaterEqual(end.resources["ru_utime"] + end.resources["ru_stime"], 0.19)

    async def test_while_it_runs(self) -> None:
        """Sums over the tree, and how many processes it has."""
        burn = self.BURN.format(30)
        running, watcher = self.sh(f"sleep 60 & '{sys.executable}' -c \"{burn}\"")
        other, idle = self.start("sleep", "60")
        await self.until(lambda: self.executor.resources()[running.cmd_id]["ru_utime"] > 0.1)
        live = self.executor.resources()
        self.assertEqual(set(live), {running.cmd_id, other.cmd_id})
        self.assertEqual((live[running.cmd_id]["processes"], live[other.cmd_id]["processes"]), (3, 1))
        self.assertLess(live[other.cmd_id]["ru_utime"], 0.1)
        self.assertGreater(live[running.cmd_id]["ru_maxrss"], 5000)
        self.assertEqual(set(live[other.cmd_id]), {*RU_FIELDS, "processes"})
        for process, ending in ((running, watcher), (other, idle)):
            process.signal(signal.SIGKILL)
            await ending.end
        self.assertEqual(self.executor.resources(), {})


class Remaining(ExecutorTestCase):
    async def test_what_a_dead_agent_left_is_found_and_ended(self) -> None:
        """By its first process's birth, and by marks in the environment; what is not its own is untouched."""
        running, watcher = self.sh("setsid sh -c 'sleep 60 & echo $!; wait' & wait")
        stranger, other = self.start("sleep", "60")
        await self.until(lambda: watcher.out["out"].endswith(b"\n"))
        daemon = int(watcher.out["out"])
        next_life = LinuxExecutor(reactor, self.around)
        left = next_life.end_remains([Remains(running.cmd_id, running.pid, running.born), Remains("gone")])
        self.assertEqual(left, {running.cmd_id: 3, "gone": 0})
        self.assertFalse(alive(daemon))
        self.assertTrue(alive(stranger.pid))
        await watcher.end
        stranger.signal(signal.SIGKILL)
        await other.end

    async def test_a_pid_that_was_given_out_again_is_not_ours(self) -> None:
        """The same number with another birth is another process."""
        stranger, watcher = self.start("sleep", "60")
        left = LinuxExecutor(reactor, self.around).end_remains([Remains("other", stranger.pid, "another birth")])
        self.assertEqual(left, {"other": 0})
        self.assertTrue(alive(stranger.pid))
        stranger.signal(signal.SIGKILL)
        await watcher.end

    async def test_another_agents_commands_are_not_ours(self) -> None:
        """The same cmd-id under another state directory."""
        running, watcher = self.start("sleep", "60")
        elsewhere = Surroundings("vm-1", self.home / "elsewhere", self.served, {})
        left = LinuxExecutor(reactor, elsewhere).end_remains([Remains(running.cmd_id)])
        self.assertEqual(left, {running.cmd_id: 0})
        running.signal(signal.SIGKILL)
        await watcher.end
