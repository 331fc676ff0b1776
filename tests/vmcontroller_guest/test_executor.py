"""How commands start and end: real programs."""

from __future__ import annotations

import base64
import errno
import os
import signal
import sys
import time
from typing import Any

from twisted.internet.task import deferLater

from tests.vmcontroller_guest.programs import ExecutorTestCase, reactor
from vmcontroller.wire.words import Stdin
from vmcontroller_guest.census import Census


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
        self.assertIn(f"{self.served}/nothing does not exist in the guest", self.refusal("./nothing"))

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

    def test_too_many_open_files(self) -> None:
        def exhausted() -> tuple[int, int]:
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(os, "pipe", exhausted)
        self.assertIn("cannot start any program now: Too many open files", self.refusal("true"))

    def test_nothing_stays_open(self) -> None:
        """A refusal leaks no descriptor."""
        before = len(os.listdir("/proc/self/fd"))
        for stdin in (Stdin(), Stdin("stream"), Stdin("file", "/dev/null")):
            self.refusal("/no/such", stdin=stdin)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
