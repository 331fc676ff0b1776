"""The wrapper, a real daemon, and real agents as its VMs: a job from job.xml to its results, through every accident."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.loopback.house import DEADLINE, house, wait_for
from tests.wrapper.harness import Result, Slot
from vmcontroller import client

#: Ends when a file called go is there; says how far it is, each time with a line of output.
WORKER = """
i=0
while [ ! -e go ]; do i=$((i + 1)); echo "line $i"; echo 0.5 > fraction; sleep 0.1; done
cat in | tr a-z A-Z > result
echo error >&2
"""


class Site:
    """A slot, and the state directory of the daemon that the wrapper starts or finds."""

    def __init__(self, path: Path) -> None:
        self.slot = Slot(path / "slots" / "0")
        self.state = path / "state"
        self.temporary = path / "tmp"
        self.temporary.mkdir()
        (self.slot.path / "in").write_text("data")

    def job(self, inside: str = "") -> None:
        """One VM task that copies a file in and one out."""
        self.slot.job(
            f"<task><virtualmachine>vm</virtualmachine><application>worker</application><copy_app_to_VM/>{inside}"
            "<copy_file_to_VM>in</copy_file_to_VM><copy_file_from_VM>result</copy_file_from_VM>"
            "<stdout_filename>out</stdout_filename><stderr_filename>err</stderr_filename></task>"
        )

    @property
    def environment(self) -> dict[str, str]:
        """The wrapper's, and so the daemon's."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"VMCONTROLLER_HYPERVISOR": "process", "TMPDIR": str(self.temporary), "PATH": path}

    def start(self, *options: str) -> subprocess.Popen[str]:
        """The wrapper as a process."""
        return self.slot.start("--state-dir", str(self.state), *options, **self.environment)

    def run(self, *options: str) -> Result:
        """The wrapper to its end."""
        return self.slot.run("--state-dir", str(self.state), *options, **self.environment)

    def call(self, method: str, *arguments: Any) -> Any:
        """Ask the daemon, whoever started it."""
        with client.connect(self.state) as api:
            return api.call(method, *arguments)

    def vm(self) -> str:
        """The one VM."""
        (name,) = self.call("listVMs")
        return str(name)

    def lines(self) -> int:
        """How many lines of output are here."""
        out = self.slot.path / "out"
        return out.read_bytes().count(b"\n") if out.exists() else 0

    def await_lines(self, more: int = 1) -> None:
        """Wait until the program has said something more."""
        wanted = self.lines() + more
        wait_for(lambda: self.lines() >= wanted, "the program said nothing")

    def agent(self) -> psutil.Process:
        """The agent of the one VM: the first of its name, because it forks to run a command."""
        its = str(self.state / "vms" / self.call("getVM", self.vm())["id"])
        named = [p for p in psutil.process_iter() if "vmcontroller_guest" in (line := _line(p)) and its in line]
        return min(named, key=psutil.Process.create_time)

    def let_go(self) -> None:
        """Put the file there that the program waits for."""
        self.call("runCmd", self.vm(), "touch", ["go"])

    def left(self) -> list[str]:
        """Every process that was told of this site."""
        mark = str(self.temporary)
        return [f"{p.pid} {p.cmdline()}" for p in psutil.process_iter() if _environment(p).get("TMPDIR") == mark]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for line in made.left():
        try:
            os.kill(int(line.split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            pass


def ended(process: subprocess.Popen[str]) -> int:
    """Its exit code, in time."""
    process.communicate(timeout=DEADLINE)
    return process.returncode


def is_clean(site: Site) -> None:
    """No VM, no process, nothing of ours in the slot."""
    wait_for(lambda: not site.left(), f"left behind: {site.left()}")
    assert list((site.state / "vms").iterdir()) == []
    assert not list(site.slot.path.glob("*wrapper_vm*"))


def test_a_job_goes_all_the_way(site: Site) -> None:
    """A daemon is started, the VM made and removed, outputs and files are here, and everything has gone."""
    site.slot.program("worker", f"touch go; {WORKER}")
    site.job("<fraction_done_filename>fraction</fraction_done_filename>")
    result = site.run("--events", "events")
    assert result.code == 0, result.stderr_txt
    assert site.slot.read("result") == "DATA"
    assert (site.slot.read("out"), site.slot.read("err")) == ("", "error\n")
    phases = [json.loads(line)["phase"] for line in site.slot.read("events").splitlines()]
    assert [phase for phase in phases if phase != "progress"] == [
        *("daemon", "create", "start", "hello", "copyIn", "run", "copyOut", "cleanUp", "done"),
    ]
    assert "The job is done" in result.stderr_txt.splitlines()[-2]
    is_clean(site)


def test_a_daemon_that_runs_is_used_and_stays(site: Site) -> None:
    """The wrapper takes what is its own away and leaves the daemon, and other VMs, as they were."""
    with house(site.state) as home:
        home.vm("mine")
        site.slot.program("worker", f"touch go; {WORKER}")
        site.job()
        assert site.run().code == 0
        assert home.call("listVMsWithState") == {"mine": "Running"}
        assert home.call("listCmds") == []
        assert home.call("getInfo")["leases"] == 0


def test_what_the_program_meets_in_its_vm(site: Site) -> None:
    """Arguments, environment over the agent's own, directory, a file as its input, binary output."""
    site.slot.program("worker", 'pwd; echo "$A $B $1 $2"; cat; printf "\\377\\000"')
    site.slot.link("given", "../../given_1")
    (site.slot.path.parent.parent / "given_1").write_bytes(b"input\n")
    site.slot.job(
        "<task><virtualmachine>vm</virtualmachine><application>worker</application><copy_app_to_VM/>"
        "<command_line>'a b' $NTHREADS</command_line><setenv>A=1</setenv><setenv>B=two words</setenv>"
        "<stdin_filename>given</stdin_filename><copy_stdin_to_VM/><stdout_filename>out</stdout_filename></task>"
    )
    assert site.run().code == 0
    directory, *rest = (site.slot.path / "out").read_bytes().split(b"\n")
    assert rest == [b"1 two words a b 1", b"input", b"\xff\x00"]
    assert directory.startswith(os.fsencode(site.state))


def test_files_of_any_name(site: Site) -> None:
    """In directories, with spaces and letters of any script; directories that are missing are made."""
    names = ("data/in put", "größe", "./dot")
    for name in names:
        (site.slot.path / name).parent.mkdir(exist_ok=True)
        (site.slot.path / name).write_text(name)
    site.slot.program("worker", 'mkdir -p re/sult; cat "data/in put" größe dot > "re/sult/ö ut"')
    site.slot.job(
        "<task><virtualmachine>vm</virtualmachine><application>worker</application><copy_app_to_VM/>"
        + "".join(f"<copy_file_to_VM>{name}</copy_file_to_VM>" for name in names)
        + "<app_pathVM>bin/worker</app_pathVM><copy_file_from_VM>re/sult/ö ut</copy_file_from_VM></task>"
    )
    result = site.run()
    assert result.code == 0, result.stderr_txt
    assert site.slot.read("re/sult/ö ut") == "".join(names)


def test_a_program_that_fails(site: Site) -> None:
    """195; what it said is here; the VM is gone."""
    site.slot.program("worker", "echo why >&2; exit 3")
    site.job()
    result = site.run()
    assert result.code == 195
    assert "worker in the VM vm ended with exit code 3" in result.stderr_txt
    assert "ended with exit code 3" in result.err
    assert site.slot.read("err") == "why\n"
    is_clean(site)


def test_a_program_that_cannot_be_run(site: Site) -> None:
    """195, with the guest's own reason."""
    worker = site.slot.path / "worker"
    worker.write_text("data")
    worker.chmod(0o755)
    site.job()
    result = site.run()
    assert result.code == 195
    assert "could not be started" in result.stderr_txt


def test_ctrl_c_leaves_nothing(site: Site) -> None:
    """The program, the VM, the lease and the daemon that was started for it are gone; the exit code tells why."""
    site.slot.program("worker", WORKER)
    site.job()
    with site.start() as wrapper:
        site.await_lines()
        wrapper.send_signal(signal.SIGINT)
        assert ended(wrapper) == 128 + signal.SIGINT
    is_clean(site)
    assert "told to go during task 1 of 1" in site.slot.read("stderr.txt")


@pytest.mark.parametrize("daemon_too", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_computer_that_is_switched_off_loses_nothing(site: Site, number: signal.Signals, daemon_too: bool) -> None:
    """The VM is saved with its disk, no process is left, and the next start goes on; so when the daemon ends, too."""
    site.slot.program("worker", f"[ -e state ] && echo again; echo > state; {WORKER}")
    site.job()
    with site.start() as wrapper:
        site.await_lines()
        if daemon_too:
            os.kill(json.loads((site.state / "daemon.json").read_text())["pid"], signal.SIGTERM)
        wrapper.send_signal(number)
        assert ended(wrapper) == 128 + number
    wait_for(lambda: not site.left(), "processes are left")
    assert not (site.slot.path / "boinc_finish_called").exists()
    assert "it goes on from there" in site.slot.read("stderr.txt")
    with site.start() as wrapper:
        wait_for(lambda: site.slot.read("stderr.txt").count("running ./worker") == 2, "it does not go on")
        wait_for(lambda: "line 1" in site.slot.read("out"), "the program said nothing")
        site.let_go()
        assert ended(wrapper) == 0
    assert site.slot.read("stderr.txt").count("creating the VM") == 1
    assert site.slot.read("out").startswith("again\nline 1\n")
    assert site.slot.read("result") == "DATA"
    is_clean(site)
    assert "has run out" not in (site.state / "daemon.log").read_text()


def test_a_wrapper_that_is_killed_is_succeeded(site: Site) -> None:
    """kill -9: the next one finds the same command at work and goes on where the output stood."""
    site.slot.program("worker", WORKER)
    site.job()
    with site.start() as first:
        site.await_lines(3)
        first.kill()
        ended(first)
    with site.start() as second:
        site.await_lines(3)
        site.let_go()
        assert ended(second) == 0
    lines = site.slot.read("out").splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert site.slot.read("result") == "DATA"
    assert "copying" in site.slot.read("stderr.txt")
    assert site.slot.read("stderr.txt").count("running ./worker") == 1
    is_clean(site)


def test_an_agent_that_is_killed_costs_one_attempt(site: Site) -> None:
    """The command is lost, the VM is started again, the program begins anew; the job ends well."""
    site.slot.program("worker", WORKER)
    site.job()
    with site.start() as wrapper:
        site.await_lines(3)
        site.agent().kill()
        wait_for(lambda: "was lost" in site.slot.read("stderr.txt"), "the loss was not noticed")
        wait_for(lambda: site.slot.read("stderr.txt").count("running ./worker") == 2, "it was not run again")
        site.let_go()
        assert ended(wrapper) == 0
    lines = site.slot.read("out").splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    is_clean(site)


def test_a_loss_goes_back_to_the_checkpoint(site: Site) -> None:
    """The directory of the VM is as the snapshot has it, and the output goes on behind what it was then."""
    site.slot.program("worker", f"[ -e state ] && echo again; echo > state; {WORKER}")
    site.job("<checkpoint_interval>1</checkpoint_interval><checkpoint_filename>cp</checkpoint_filename>")
    with site.start() as wrapper:
        wait_for((site.slot.path / "wrapper_vm.json").exists, "no VM")
        wait_for(lambda: json.loads(site.slot.read("wrapper_vm.json"))["marks"], "no checkpoint was taken")
        site.agent().kill()
        wait_for(lambda: site.slot.read("stderr.txt").count("running ./worker") == 2, "it was not run again")
        site.let_go()
        assert ended(wrapper) == 0
    lines = site.slot.read("out").splitlines()
    again = lines.index("again")
    assert again > 0
    assert lines[:again] == [f"line {number}" for number in range(1, again + 1)]
    assert lines[again + 1 :] == [f"line {number}" for number in range(1, len(lines) - again)]
    assert "goes on from its checkpoint cp-0-" in site.slot.read("stderr.txt")
    is_clean(site)


def test_a_daemon_that_is_killed_is_started_again(site: Site) -> None:
    """The command in the VM has gone on meanwhile, and nothing of its output is lost or doubled."""
    site.slot.program("worker", WORKER)
    site.job()
    with site.start() as wrapper:
        site.await_lines(3)
        daemon = psutil.Process(json.loads((site.state / "daemon.json").read_text())["pid"])
        daemon.kill()
        psutil.wait_procs([daemon], DEADLINE)
        site.await_lines(5)
        site.let_go()
        assert ended(wrapper) == 0
    lines = site.slot.read("out").splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert site.slot.read("stderr.txt").count("running ./worker") == 1
    is_clean(site)


def test_a_vm_that_is_saved_under_our_hands(site: Site) -> None:
    """As when the lease ran out while the computer slept: it is started again, and the job ends well."""
    site.slot.program("worker", WORKER)
    site.job()
    with site.start() as wrapper:
        site.await_lines(1)
        site.call("saveState", site.vm())
        wait_for(lambda: site.slot.read("stderr.txt").count("running ./worker") == 2, "it was not run again")
        site.let_go()
        assert ended(wrapper) == 0
    is_clean(site)


def test_two_wrappers_at_once_do_not_meet(site: Site, tmp_path: Path) -> None:
    """The same job in two slots, one daemon: two VMs, each with its own results."""
    with house(site.state) as home:
        sites = [site, _beside(site, tmp_path / "other")]
        for one in sites:
            one.slot.program("worker", f"cp in go; {WORKER}")
            (one.slot.path / "in").write_text(one.slot.path.parent.parent.name)
            one.job()
        wrappers = [one.start() for one in sites]
        assert [ended(wrapper) for wrapper in wrappers] == [0, 0]
        for one in sites:
            assert one.slot.read("result") == one.slot.path.parent.parent.name.upper()
        assert home.call("listVMs") == []


def _beside(site: Site, path: Path) -> Site:
    path.mkdir()
    other = Site(path)
    other.state = site.state
    return other


def test_a_job_with_tasks_on_the_host_and_in_vms(site: Site) -> None:
    """Files go from one to the next: unpacked on the host, worked on in two VMs, gathered on the host."""
    site.slot.program("first", "echo one > in")
    site.slot.program("worker", "cat in; tr a-z A-Z < in > result")
    site.slot.program("last", "cat result")
    vm = (
        "<task><virtualmachine>{0}</virtualmachine><application>worker</application><copy_app_to_VM/>"
        "<copy_file_to_VM>in</copy_file_to_VM><copy_file_from_VM>result</copy_file_from_VM></task>"
    )
    site.slot.job(
        "<task><application>first</application></task>"
        + vm.format("a")
        + vm.format("b")
        + "<task><application>last</application><stdout_filename>out</stdout_filename></task>"
    )
    result = site.run()
    assert result.code == 0, result.stderr_txt
    assert site.slot.read("out") == "ONE\n"
    assert result.out == "one\none\n"
    is_clean(site)


def test_a_job_of_2009(site: Site) -> None:
    """The example as it was written then: helpers, empty elements, ./names, a task on the host after that in the VM."""
    example = Path(__file__).parents[2] / "job_xml" / "examples" / "boinc-2009" / "job.xml"
    (site.slot.path / "job.xml").write_text(example.read_text())
    (site.slot.path / "vmtools").mkdir()
    (site.slot.path / "vmtools" / "manager.py").write_text("import time; print('manager', flush=True); time.sleep(600)")
    (site.slot.path / "real_stdin").write_text("from stdin\n")
    site.slot.link("stdin_worker", "real_stdin")
    site.slot.link("out", "real_out")
    site.slot.program("worker.py", 'read line; echo "$1 $line $(cat in)" | tee out')
    site.slot.program("report", 'echo "report on $(cat "$1")" >> report.txt')
    tar = ["tar", "-cf"]
    subprocess.run([*tar, "vmtools.tar", "vmtools"], cwd=site.slot.path, check=True)
    subprocess.run([*tar, "dataset.tar", "in"], cwd=site.slot.path, check=True)
    (site.slot.path / "in").unlink()
    result = site.run()
    assert result.code == 0, result.stderr_txt
    assert site.slot.read("stdout_worker") == "3 from stdin data\n"
    assert site.slot.read("real_out") == "3 from stdin data\n"
    assert site.slot.read("report.txt") == "report on 3 from stdin data\n"
    is_clean(site)
