"""The real VirtualBox in a directory of its own: built once, entered as often as wanted, without a trace on the host.

    chroot.py build             make it if it is not there (some 40 s, 1 GB)
    chroot.py test [WORDS...]   run the tests that are for it, with WORDS for pytest
    chroot.py run COMMAND...    run a command in it; a checkout and a Python are where they are outside

Debian has VirtualBox in its unstable suite alone, which needs a newer C library than stable has; hence a chroot. No
kernel module is loaded: machines run in VirtualBox's own interpreter (launcher.c tells how), which is real but slow.
Mounts, processes and network are private to one run and vanish with it. Linux only; root is needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
TESTS = "tests/contracts/test_virtualbox.py"
#: What the commands below need of the host, each with its Debian package.
TOOLS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "gcc": "gcc", "ld": "binutils", "ip": "iproute2"}
#: virtualbox-source stands for the kernel module, which nothing here could load.
PACKAGES = "virtualbox,virtualbox-source,qemu-utils"
#: A mirror's unstable suite may be older than its date says; its signature is checked all the same.
OPTIONS = (
    f"--include={PACKAGES}",
    "--components=main,contrib",
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=Acquire::Check-Date "false"',
    '--aptopt=APT::Sandbox::User "root"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
#: For programs that run on nothing.
BARE = (
    *("-m32", "-Os", "-Wall", "-Wextra", "-ffreestanding", "-nostdlib", "-fno-pic", "-fno-pie"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
ENVIRONMENT = {
    "HOME": "/tmp",
    "VBOX_USER_HOME": "/tmp/VirtualBox",
    "USER": "root",
    "LOGNAME": "root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": f"{CHECKOUT}:/usr/lib/python3/dist-packages",
    "PYTHONDONTWRITEBYTECODE": "1",
    "VMCONTROLLER_REAL_VIRTUALBOX": "1",
}


def place() -> Path:
    """Where the chroot lies: in the user's cache directory, outside of any checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vmcontroller" / "virtualbox-chroot"


def demand_tools() -> None:
    """Leave with a sentence if something is missing."""
    if os.geteuid() != 0:
        sys.exit("chroot.py: only root can make and enter a chroot; run it with sudo")
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        sys.exit(f"chroot.py: something is missing; apt-get install {' '.join(missing)}")


def mirror() -> str:
    """The Debian mirror that this system itself uses."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        origin, _, uri = line.partition(" ")
        if origin == "Debian" and "security" not in uri:
            return uri
    sys.exit("chroot.py: apt knows no Debian mirror; add one to /etc/apt/sources.list.d and run apt-get update")


def build(root: Path) -> None:
    """Make the chroot unless it is there. Half of one is never taken for a whole."""
    if not root.exists():
        draft = root.with_name(f"{root.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mmdebstrap", "--mode=root", "--variant=essential", *OPTIONS, "sid", str(draft), mirror()], check=True
        )
        draft.rename(root)
    furnish(root)


def furnish(root: Path) -> None:
    """Put the stand-in launcher and the guest's disk in, made from their sources anew."""
    stock = root / "usr/lib/virtualbox/VBoxHeadless"
    if not stock.with_suffix(".stock").exists():
        stock.rename(stock.with_suffix(".stock"))
    subprocess.run(["gcc", "-O", "-Wall", "-o", stock, HERE / "launcher.c", "-ldl"], check=True)
    assemble(root / "opt/guest.bin", ["guest.S"], "-Ttext=0x7c00")
    assemble(root / "opt/network.bin", ["network.S", "network.c"], f"--script={HERE / 'network.ld'}")


def assemble(target: Path, sources: list[str], layout: str) -> None:
    """Make a disk of sources that need no operating system."""
    parts = [target.with_name(f"{source}.o") for source in sources]
    for source, part in zip(sources, parts, strict=True):
        subprocess.run(["gcc", *BARE, "-c", "-o", part, HERE / source], check=True)
    subprocess.run(
        ["ld", "-m", "elf_i386", "--oformat=binary", "-e", "start", layout, "-o", target, *parts], check=True
    )
    for part in parts:
        part.unlink()


def run(command: list[str]) -> None:
    """Become the command, in namespaces of its own."""
    namespaces = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--propagation", "private"]
    os.execvp(namespaces[0], [*namespaces, sys.executable, __file__, "enter", "--", *command])


def enter(root: Path, command: list[str]) -> None:
    """Mount what the command needs, and become it. Only to be called where mounts are private."""
    mount("-t", "proc", "proc", root / "proc")
    for name in ("dev", "tmp"):
        mount("-t", "tmpfs", "tmpfs", root / name)
    (root / "tmp").chmod(0o1777)
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", root / "dev" / name)
    (root / "dev/shm").mkdir()
    for shared in {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}:
        share(shared, root)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sys.exit(obey(root, command))


def obey(root: Path, command: list[str]) -> int:
    """Run the command in the chroot, and clear up after orphans as the first process has to; its exit code."""
    child = os.fork()
    if child == 0:
        os.chroot(root)
        os.chdir(CHECKOUT)
        os.execve(command[0], command, ENVIRONMENT)
    ended, status = 0, 0
    while ended != child:
        ended, status = os.wait()
    return os.waitstatus_to_exitcode(status)


def share(path: Path, root: Path) -> None:
    """Show a directory of the host in the chroot, at the same place, not to be written."""
    if path == Path("/usr"):
        sys.exit("chroot.py: this Python is the system's own; make a virtual environment of one that lies elsewhere")
    inside = root / path.relative_to("/")
    inside.mkdir(parents=True, exist_ok=True)
    mount("--bind", path, inside)
    mount("-o", "remount,bind,ro", inside)


def mount(*arguments: str | Path) -> None:
    """mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="The real VirtualBox in a chroot.")
    parser.add_argument("verb", choices=["build", "test", "run", "enter"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    said = parser.parse_args()
    command = [word for word in said.command if word != "--"] or ["/bin/bash"]
    if said.verb == "enter":
        enter(place(), command)
    demand_tools()
    build(place())
    if said.verb == "test":
        run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TESTS, *said.command])
    if said.verb == "run":
        run(command)


if __name__ == "__main__":
    main()
