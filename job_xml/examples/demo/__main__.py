"""``python -m job_xml.examples.demo``, which is ``make demo``: one command runs a physics job in a VM."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import console, debian, fetch, report
from .image import NoImage, provide
from .play import Times, play
from .screen import Screen
from .stage import Stage
from .stop import Stop

EXAMPLES = Path(__file__).parents[1]
GUEST_PYTHON = "3.11"  # Debian 12's, which ``vmcontroller image build`` makes guests of
RESULTS = ("result.json", "distribution.txt", "poses.pdbqt", "stdout.txt")
LOGS = ("stderr.txt", "stderr_program.txt")
FAILED = 1
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
UNREAD = 141  # and for one whose output nobody read


@dataclass(frozen=True)
class Example:
    """A job that can be played: where it lies, what it is, and files that it needs besides, by the job's names.

    ``tell`` shows what came back into the slot.
    """

    directory: Path
    what: str
    files: dict[str, Path] = field(default_factory=dict)
    tell: Callable[[Screen, Path], None] = report.results


def alice(wheel: Path) -> Example:
    """The physics job."""
    what = f"proton-proton collisions at 13 TeV, with {wheel.name.split('-cp')[0]}"
    return Example(EXAMPLES / "alice", what, {"pythia8mc.whl": wheel})


def vina(archive: Path) -> Example:
    """The docking."""
    what = "a small molecule is docked to a protein, with AutoDock Vina"
    return Example(EXAMPLES / "vina", what, {"vina.tar": archive}, report.poses)


ISING = Example(EXAMPLES / "python", "the two-dimensional Ising model")


class Demo:
    """One run of the demo."""

    def __init__(self, options: argparse.Namespace, screen: Screen, stop: Stop) -> None:
        self._options = options
        self._screen = screen
        self._stop = stop

    def run(self) -> int:
        """Play, and leave nothing behind; the exit code."""
        self._screen.heading("VM Controller: one job.xml, all the way into a VM and back")
        self._screen.line()
        with Stage(self._options.hypervisor) as stage:
            code = self._perform(stage)
            self._screen.line()
        interrupted = "Interrupted. " if self._stop.asked else ""
        self._screen.line(f"{interrupted}The VM, the daemon and all their files are gone.")
        return INTERRUPTED if self._stop.asked else code

    def _perform(self, stage: Stage) -> int:
        times = Times(self._screen.seconds())
        try:
            self._provide_image(stage, times)
        except NoImage as problem:
            self._screen.phase("image", str(problem))
            return FAILED
        example = self._choose(stage, times)
        if self._stop.asked:
            return INTERRUPTED
        self._screen.phase("job", f"{example.what}: {os.path.relpath(example.directory)}/job.xml")
        stage.lay_out(example.directory, example.files)
        code = play(stage, self._stop, self._screen, times, self._options.passthrough, lambda: self._look(stage))
        if not self._stop.asked:
            self._tell(example, stage, code, times)
        return code

    def _provide_image(self, stage: Stage, times: Times) -> None:
        """Where the hypervisor starts machines, they need an image; it is built once."""
        if self._options.hypervisor != "process":
            times.begin("image", self._screen.seconds())
            stage.share_images(provide(self._options.images, self._stop, self._screen))

    def _look(self, stage: Stage) -> None:
        """Show the VM's console, if it has one."""
        png = console.screenshot(stage.state / "daemon.json")
        if png is None:
            return
        if self._options.keep:
            self._options.keep.mkdir(parents=True, exist_ok=True)
            (self._options.keep / "console.png").write_bytes(png)
        self._screen.phase("console", "what stands on the VM's screen")
        for line in console.draw(png) if self._screen.unicode else ():
            self._screen.said(line)

    def _choose(self, stage: Stage, times: Times) -> Example:
        """The example that was asked for; the one that needs only Python where its files cannot be had."""
        if self._options.example == "python":
            return ISING
        times.begin("fetch", self._screen.seconds())
        try:
            return self._fetched(self._options.cache or stage.temporary)
        except (fetch.NoWheel, debian.NoPackages) as problem:
            if not self._stop.asked:
                self._screen.phase("fetch", str(problem))
                self._screen.phase("fetch", "so the example runs that needs nothing but Python")
            return ISING

    def _fetched(self, cache: Path) -> Example:
        if self._options.example == "vina":
            self._screen.phase("fetch", "AutoDock Vina, 2 MB of Debian's packages, once")
            return vina(debian.vina(cache, self._stop))
        self._screen.phase("fetch", "PYTHIA 8, a wheel of 30 MB, once")
        in_guest = GUEST_PYTHON if self._options.hypervisor != "process" else None
        return alice(fetch.wheel(cache, self._stop, in_guest))

    def _tell(self, example: Example, stage: Stage, code: int, times: Times) -> None:
        if code:
            self._failed(stage, code)
        else:
            example.tell(self._screen, stage.slot)
        report.times(self._screen, times.seconds)
        if self._options.keep:
            self._keep(stage.slot, self._options.keep)

    def _failed(self, stage: Stage, code: int) -> None:
        self._screen.heading(f"vmwrapper ended with {code}. What it and the program said last:")
        for path in (stage.log, *(stage.slot / name for name in LOGS)):
            for line in path.read_text(errors="replace").splitlines()[-10:] if path.exists() else ():
                self._screen.line(f"  {path.name}: {line}")

    def _keep(self, slot: Path, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for path in filter(Path.exists, (slot / name for name in RESULTS)):
            shutil.copyfile(path, directory / path.name)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--example", choices=("alice", "vina", "python"), default="alice", help="which example to run")
    parser.add_argument("--cache", type=Path, help="directory that keeps what was fetched for the next time")
    parser.add_argument("--hypervisor", default="process", metavar="NAME", help="what runs the VM; process is none")
    parser.add_argument("--images", type=Path, default=Path("build/vm"), help="directory that keeps the VM's image")
    parser.add_argument("--keep", type=Path, help="directory for the result files, which are removed otherwise")
    parser.add_argument("passthrough", nargs="*", help="after --: arguments for the program, such as --events 2000")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo on standard output."""
    options, stop = parse(argv), Stop()
    stop.install()
    try:
        return Demo(options, Screen(sys.stdout, time.monotonic), stop).run()
    except BrokenPipeError:
        # Nobody reads any more. Python flushes its standard output once again at the end; let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


if __name__ == "__main__":
    sys.exit(main())
