"""Real programs, run by the executor in this test's own reactor."""

from __future__ import annotations

import base64
import functools
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.vmcontroller_guest.doubles import temporary_directory
from vmcontroller.wire.words import RU_FIELDS, CmdRun, Limits, Stdin
from vmcontroller_guest.census import Census, birth
from vmcontroller_guest.executor import LinuxExecutor
from vmcontroller_guest.exits import adopt_orphans
from vmcontroller_guest.interfaces import Ended, NotStarted, Remains
from vmcontroller_guest.program import Surroundings
from vmcontroller_guest.running import Running

reactor: Any = global_reactor


class Watcher:
    """A Listener; ``end`` fires with Ended."""

    def __init__(self) -> None:
        self.out = {"out": b"", "err": b""}
        self.taken = 0
        self.end: Deferred[Ended] = Deferred()

    def output(self, stream: str, data: bytes) -> None:
        self.out[stream] += data

    def consumed(self, count: int) -> None:
        self.taken += count

    def ended(self, end: Ended) -> None:
        self.end.callback(end)


def _awaited(test: Callable[..., Any]) -> Callable[..., Deferred[None]]:
    @functools.wraps(test)
    def run(self: TestCase) -> Deferred[None]:
        return ensureDeferred(test(self))

    return run


class ExecutorTestCase(TestCase):
    timeout = 30

    def __init_subclass__(cls) -> None:
        """Trial awaits a test by itself only from Twisted 22.8 on."""
        for name, test in list(vars(cls).items()):
            if inspect.iscoroutinefunction(test) and name.startswith("test_"):
                setattr(cls, name, _awaited(test))

    def setUp(self) -> None:
        self.home = temporary_directory(self)
        self.served = self.home / "served"
        self.served.mkdir()
        environment = {"PATH": os.environ["PATH"], "VMCONTROLLER_OWNER": "somebody"}
        self.around = Surroundings("vm-1", self.home / "state", self.served, environment)
        self.executor = LinuxExecutor(reactor, self.around)
        self.count = 0
        adopt_orphans()
        self.addCleanup(adopt_orphans, False)

    def start(self, cmd: str, *args: str, **fields: Any) -> tuple[Running, Watcher]:
        self.count += 1
        watcher = Watcher()
        run = CmdRun(f"c{self.count}", cmd, 1, ("vm-1",), args, **fields)
        running = self.executor.start(run, watcher)
        self.addCleanup(_kill, running.pid, running.born)
        return running, watcher

    def sh(self, script: str, **fields: Any) -> tuple[Running, Watcher]:
        return self.start("/bin/sh", "-c", script, **fields)

    def python(self, script: str, **fields: Any) -> tuple[Running, Watcher]:
        return self.start(sys.executable, "-c", script, **fields)

    async def run_to_end(self, cmd: str, *args: str, **fields: Any) -> tuple[Ended, Watcher]:
        _, watcher = self.start(cmd, *args, **fields)
        return await watcher.end, watcher

    def refusal(self, cmd: str, *args: str, **fields: Any) -> str:
        with self.assertRaises(NotStarted) as raised:
            self.start(cmd, *args, **fields)
        return str(raised.exception)

    def program(self, name: str, content: str | bytes, mode: int = 0o755) -> Path:
        path = self.served / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds; the test's timeout is the deadline."""
        while not condition():
            await deferLater(reactor, 0.01)


def _kill(pid: int, born: str) -> None:
    if birth(pid) == born:
        os.killpg(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    stat = Census().all.get(pid)
    return stat is not None and not stat.ended


class Ends(ExecutorTestCase):
    async def test_an_exit_code_is_told(self) -> None:
        end, watcher = await self.run_to_end("/bin/sh", "-c", "echo out; echo err >&2; exit 3")
        self.assertEqual((end.outcome, end.exit_code_or_signal, end.left, end.reason), ("exited", 3, 0, ""))
        self.assertEqual(watcher.out, {"out": b"out\n", "err": b"err\n"})
        self.assertGreater(end.seconds, 0)

    async def test_a_signal_is_told_with_its_number(self) -> None:
        end, _ = await self.run_to_end("/bin/sh", "-c", "kill -SEGV $$")
        self.assertEqual((end.outcome, end.exit_code_or_signal), ("signalled", signal.SIGSEGV))

    async def test_octets_come_as_they_were_written(self) -> None:
        """Two mebibytes of everything, on both streams."""
        script = (
            "import sys\nd = bytes(range(256)) * 4096\nsys.stdout.buffer.write(d); sys.stderr.buffer.write(d[::-1])"
        )
        end, watcher = await self.run_to_end(sys.executable, "-c", script)
        data = bytes(range(256)) * 4096
        self.assertEqual(end.exit_code_or_signal, 0)
        self.assertTrue(watcher.out["out"] == data and watcher.out["err"] == data[::-1])

    async def test_what_is_in_the_pipe_at_the_end_is_read(self) -> None:
        """Also from a stream that was paused."""
        running, watcher = self.sh("read go; printf last", stdin=Stdin("stream"))
        running.pause("out")
        running.feed(b"go\n", True)
        await watcher.end
        self.assertEqual(watcher.out["out"], b"last")

    async def test_a_paused_stream_slows_the_program(self) -> None:
        """It waits when its pipe is full, and goes on when it is read again."""
        running, watcher = self.sh("head -c 300000 /dev/zero; echo done >&2")
        running.pause("out")
        await deferLater(reactor, 0.1)
        self.assertEqual(watcher.out, {"out": b"", "err": b""})
        running.resume("out")
        await watcher.end
        self.assertEqual((len(watcher.out["out"]), watcher.out["err"]), (300000, b"done\n"))

    async def test_many_run_side_by_side(self) -> None:
        watchers = [self.sh(f"sleep 0.2; echo {number}; exit {number}")[1] for number in range(20)]
        began = time.monotonic()
        ends = [await watcher.end for watcher in watchers]
        self.assertEqual([end.exit_code_or_signal for end in ends], list(range(20)))
        self.assertEqual([watcher.out["out"] for watcher in watchers], [b"%d\n" % number for number in range(20)])
        self.assertLess(time.monotonic() - began, 3)

    async def test_its_end_is_seen_without_pidfd_too(self) -> None:
        """Before Linux 5.3."""

        def missing(pid: int) -> int:
            raise OSError(38, "Function not implemented")

        self.patch(os, "pidfd_open", missing)
        end, _ = await self.run_to_end("/bin/sh", "-c", "sleep 0.05; exit 9")
        self.assertEqual(end.exit_code_or_signal, 9)


class Surrounded(ExecutorTestCase):
    async def output(self, script: str, **fields: Any) -> str:
        _, watcher = await self.run_to_end("/bin/sh", "-c", script, **fields)
        return watcher.out["out"].decode()

    async def test_each_has_a_session_and_a_group_of_its_own(self) -> None:
        running, watcher = self.sh("read line", stdin=Stdin("stream"))
        stat = Census().all[running.pid]
        self.assertEqual((stat.session, stat.group), (running.pid, running.pid))
        running.feed(b"", True)
        await watcher.end

    async def test_it_works_in_the_served_directory(self) -> None:
        self.assertEqual(await self.output("pwd -P"), f"{self.served.resolve()}\n")

    async def test_or_in_a_directory_of_its_own(self) -> None:
        """Relative to the served one, or absolute."""
        (self.served / "sub").mkdir()
        self.assertEqual(await self.output("pwd -P", path="sub"), f"{self.served.resolve()}/sub\n")
        self.assertEqual(await self.output("pwd", path="/"), "/\n")

    async def test_its_environment_is_small(self) -> None:
        """A base, the marks of whoever started the agent, the marks of the command, and what the command asks for."""
        text = await self.output("env", env={"LANG": "C", "MINE": "a\nb: c", "VMCONTROLLER_ID": "forged"})
        self.assertIn("MINE=a\nb: c\n", text)
        self.assertIn("LANG=C\n", text)
        self.assertIn("VMCONTROLLER_ID=vm-1\n", text)
        self.assertIn("VMCONTROLLER_OWNER=somebody\n", text)
        names = {line.partition("=")[0] for line in text.splitlines() if "=" in line}
        self.assertIn("VMCONTROLLER_CMD_ID", names)
        self.assertLessEqual(
            {name for name in names if not name.startswith("VMCONTROLLER_")},
            {"PATH", "HOME", "LANG", "MINE", "PWD", "OLDPWD", "SHLVL", "_"},
        )

    async def test_arguments_are_handed_on_unread(self) -> None:
        args = ("a b", "", "'\"$HOME\\", "line\nbreak", "ünï", "--")
        script = "import sys; print(ascii(sys.argv[1:]))"
        _, watcher = await self.run_to_end(sys.executable, "-c", script, *args)
        self.assertEqual(watcher.out["out"].decode(), ascii(list(args)) + "\n")

    async def test_no_input_is_end_of_file(self) -> None:
        self.assertEqual(await self.output("wc -c"), "0\n")

    async def test_inline_input(self) -> None:
        data = bytes(range(256)) * 256
        stdin = Stdin("inline", data=base64.b64encode(data).decode())
        _, watcher = await self.run_to_end("cat", stdin=stdin)
        self.assertEqual(watcher.out["out"], data)

    async def test_input_from_a_file(self) -> None:
        (self.served / "in.txt").write_text("from a file")
        self.assertEqual(await self.output("cat", stdin=Stdin("file", "in.txt")), "from a file")
        self.assertEqual(await self.output("cat", stdin=Stdin("file", str(self.served / "in.txt"))), "from a file")

    async def test_streamed_input(self) -> None:
        """It is told how much the program took."""
        running, watcher = self.start("cat", stdin=Stdin("stream"))
        running.feed(b"one ", False)
        await self.until(lambda: watcher.out["out"] == b"one ")
        running.feed(b"two", True)
        await watcher.end
        self.assertEqual((watcher.out["out"], watcher.taken), (b"one two", 7))

    async def test_input_that_is_not_read_waits(self) -> None:
        """A program that reads nothing takes a pipe full; what it never took is given up at its end."""
        running, watcher = self.start("sleep", "60", stdin=Stdin("stream"))
        for _ in range(16):
            running.feed(bytes(65536), False)
        await self.until(lambda: watcher.taken)
        self.assertLess(watcher.taken, 16 * 65536)
        running.signal(signal.SIGTERM)
        await watcher.end
        self.assertEqual(watcher.taken, 16 * 65536)

    async def test_a_program_that_closes_its_input(self) -> None:
        """What comes for it is given up."""
        running, watcher = self.sh("exec 0<&-; echo closed; sleep 60", stdin=Stdin("stream"))
        await self.until(lambda: watcher.out["out"])
        running.feed(b"lost", False)
        await self.until(lambda: watcher.taken == 4)
        running.feed(b"too", True)
        self.assertEqual(watcher.taken, 7)
        running.signal(signal.SIGKILL)
        await watcher.end


class Found(ExecutorTestCase):
    async def test_a_bare_name_is_looked_for_in_path(self) -> None:
        end, _ = await self.run_to_end("true")
        self.assertEqual(end.exit_code_or_signal, 0)

    async def test_the_commands_own_path_counts(self) -> None:
        self.program("tool", "#!/bin/sh\necho tool")
        _, watcher = await self.run_to_end("tool", env={"PATH": f"/nowhere:{self.served}"})
        self.assertEqual(watcher.out["out"], b"tool\n")

    async def test_a_name_with_a_slash_is_relative_to_the_working_directory(self) -> None:
        """As ./worker.py of 2009; else it is looked for in the served one."""
        (self.served / "sub").mkdir()
        self.program("worker.py", "#!/bin/sh\necho served")
        self.program("sub/worker.py", "#!/bin/sh\necho sub")
        self.program("other.py", "#!/bin/sh\npwd -P")
        outs = [(await self.run_to_end(cmd, path="sub"))[1].out["out"] for cmd in ("./worker.py", "./other.py")]
        self.assertEqual(outs, [b"sub\n", f"{self.served.resolve()}/sub\n".encode()])


class Refused(ExecutorTestCase):
    def test_what_does_not_exist(self) -> None:
        self.assertIn("no-such-program is not found in the guest's PATH", self.refusal("no-such-program"))
        self.assertIn("/no/such does not exist in the guest", self.refusal("/no/such"))
        self.assertIn("does not exist in the guest", self.refusal("./nothing"))

    def test_a_hint_at_the_working_directory(self) -> None:
        self.program("tool", "#!/bin/sh\n")
        self.assertIn("call it ./tool", self.refusal("tool"))

    def test_what_is_not_executable(self) -> None:
        self.program("plain", "#!/bin/sh\n", mode=0o644)
        self.assertIn("is not executable (its mode is -rw-r--r--)", self.refusal("./plain"))

    def test_a_directory(self) -> None:
        self.assertIn("is a directory", self.refusal("/usr"))

    def test_a_wrong_format(self) -> None:
        """Scripts without a first line, nothing at all, other machines' programs."""
        self.program("script", "echo hello\n")
        self.program("empty", "")
        self.program("alien", b"\x7fELF" + bytes(100))
        self.program("garbage", b"\x01\x00\x02\x00" * 20)
        self.assertIn("a script without a #! line", self.refusal("./script"))
        self.assertIn("is empty", self.refusal("./empty"))
        self.assertIn("another kind of machine", self.refusal("./alien"))
        self.assertIn("format", self.refusal("./garbage"))

    def test_a_missing_interpreter(self) -> None:
        self.program("old", "#!/usr/bin/python1.5 -u\n")
        self.assertIn("'/usr/bin/python1.5', the interpreter in its first line, does not exist", self.refusal("./old"))
        self.program("windows", "#!/bin/sh\r\necho\r\n")
        self.assertIn(r"'/bin/sh\r'", self.refusal("./windows"))

    def test_a_missing_working_directory(self) -> None:
        self.assertIn("The working directory", self.refusal("true", path="nowhere"))

    def test_a_missing_input_file(self) -> None:
        self.assertIn("does not exist in the guest", self.refusal("cat", stdin=Stdin("file", "nothing.txt")))
        self.assertIn("is not a file", self.refusal("cat", stdin=Stdin("file", "")))
        self.assertIn("base64", self.refusal("cat", stdin=Stdin("inline", data="?")))

    def test_what_no_program_can_be_given(self) -> None:
        self.assertIn("NUL", self.refusal("true", "a\0b"))
        self.assertIn("environment variable", self.refusal("true", env={"A=B": "c"}))
        self.assertIn("environment variable", self.refusal("true", env={"A": "\0"}))
        self.assertIn("cannot be started", self.refusal("true", "\ud800"))
        self.assertIn("too long", self.refusal("true", "x" * 10_000_000))
        self.assertIn("empty", self.refusal(""))

    def test_nothing_stays_open(self) -> None:
        """A refusal leaks no descriptor."""
        before = len(os.listdir("/proc/self/fd"))
        for stdin in (Stdin(), Stdin("stream"), Stdin("file", "/dev/null")):
            self.refusal("/no/such", stdin=stdin)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


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
