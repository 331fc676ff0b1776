"""What the tests with Debian in QEMU do to a guest, and ask of it."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

import psutil

from tests.loopback.house import House, wait_for

#: Seconds in which an emulated guest boots, on a busy host.
PATIENCE = 120.0
MEMORY_MB = 384

#: Counts fifths of a second into a file, and says at the end how far it came: a command that has to survive.
COUNTER = "i=0; while [ $i -lt {rounds} ]; do i=$((i+1)); echo $i >> counted; sleep 0.2; done; wc -l < counted"


def make(home: House, vm: str, image: str) -> None:
    """A VM that is off."""
    home.call("createVM", vm, image, {"memoryMB": MEMORY_MB})


def awaited(home: House, *vms: str) -> None:
    """Wait until the VMs' agents are there; one call may not take as long as a boot."""
    for vm in vms:
        wait_for(lambda vm=vm: home.call("waitForVM", vm, 5.0), f"{vm} says no HELLO", PATIENCE)


def counting(home: House, vm: str, rounds: int) -> str:
    """Begin to count; the command's id, once it counts."""
    running = home.run(vm, "/bin/sh", "-c", COUNTER.format(rounds=rounds) + "; rm counted")
    wait_for(lambda: "counted" in str(home.call("listFiles", vm)), "it does not count")
    return running


def out(home: House, script: str, vm: str = "guest") -> str:
    """What a line of shell says, without the last end of line."""
    return str(home.shell(vm, script)["out"]).strip()


def there_and_back(home: House, megabytes: int) -> None:
    """Files of so many MiB go into the guest and come back, octet by octet; how fast is printed."""
    source, back = home.state / "source", home.state / "back"
    block = os.urandom(1 << 20)
    with source.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(4, "big") + block[4:])
    moved = {}
    for name, arguments in (
        ("put", ("cpFileToVM", "guest", str(source), "big")),
        ("get", ("cpFileFromVM", "guest", "big", str(back))),
    ):
        begun = time.monotonic()
        assert home.call(*arguments)[2] == 0
        moved[name] = megabytes / (time.monotonic() - begun)
    print(f"MiB/s: {moved}")
    with source.open("rb") as one, back.open("rb") as other:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()
    out(home, "rm big")


def clock_is_right(home: House, vm: str = "guest") -> bool:
    """Whether the guest knows what time it is."""
    before = time.time()
    told = float(out(home, "date +%s.%N", vm))
    return before - 2 < told < time.time() + 2


def gated(home: House, name: str, code: int, vm: str = "guest", **options: Any) -> str:
    """A command that says "before", waits for a file in its directory, says "after" and ends; once it has begun."""
    script = f"echo before; until [ -e {name} ]; do sleep 0.1; done; rm {name}; echo after; exit {code}"
    running = home.run(vm, "/bin/sh", "-c", script, **options)
    wait_for(lambda: home.call("getCmdOutput", running, "out", 0, 6), f"{name} does not begin")
    return running


def let_go(home: House, name: str, vm: str = "guest") -> None:
    """Open the gate of this name."""
    home.shell(vm, f"touch {name}")


def goes_on(home: House, running: str, name: str, code: int) -> None:
    """A gated command is where it was: it ends right when its gate opens, and has said everything once."""
    let_go(home, name)
    result = home.result(running)
    assert (result["outcome"], result["exitCodeOrSignal"], result["out"]) == ("exited", code, "before\nafter\n"), result


def qemu(home: House, vm: str = "guest") -> psutil.Process:
    """The process of a VM's QEMU."""
    place = str(home.state / "qemu" / home.call("getVM", vm)["id"])
    for process in psutil.process_iter(["name"]):
        try:
            if str(process.info["name"]).startswith("qemu-system") and process.cwd() == place:
                return process
        except psutil.Error:
            continue  # It has ended meanwhile.
    raise AssertionError(f"{vm} has no QEMU")
