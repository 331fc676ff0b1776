"""A libvirtd of the test's own: its configuration, state and sockets lie in one directory, in a mount namespace.

Needs root, as a mount namespace and /dev/kvm's friends do here; no systemd, no D-Bus, no cgroups, nothing of the
host's own libvirt is read or written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import libvirt

PATIENCE = 60.0
_FOLDERS = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}
_QEMU_CONF = """
security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
"""
_DAEMON_CONF = """
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
"""


def missing() -> str:
    """What this host lacks, in words; "" when libvirtd can be run."""
    if os.geteuid():
        return "a libvirtd of one's own needs root"
    lacking = [tool for tool in ("libvirtd", "unshare", "qemu-system-x86_64", "qemu-img") if not shutil.which(tool)]
    return f"{', '.join(lacking)} missing; on Debian: libvirt-daemon-system qemu-system-x86 qemu-utils" * bool(lacking)


class Libvirtd:
    """Runs from start() to stop(). ``uri`` leads to it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.uri = f"qemu+unix:///system?socket={root}/run/libvirt-sock"
        for name in _FOLDERS:
            (root / name).mkdir()
        (root / "etc" / "qemu.conf").write_text(_QEMU_CONF)
        (root / "etc" / "libvirtd.conf").write_text(_DAEMON_CONF)

    def start(self) -> None:
        """It answers then."""
        binds = [f"mkdir -p {place} && mount --bind {self._root / name} {place}" for name, place in _FOLDERS.items()]
        run = "exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/pid"
        with (self._root / "libvirtd.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", " && ".join([*binds, run])], stdout=log, stderr=log
            )
        libvirt.registerErrorHandler(lambda context, error: None, None)
        self.connection = self._connected()

    def _connected(self) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                connection = libvirt.open(self.uri)
                connection.getCapabilities()  # The first call takes seconds: it looks at every QEMU that there is.
                return connection
            except libvirt.libvirtError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self._root / "libvirtd.log").read_text()) from error
                time.sleep(0.05)

    def stop(self) -> None:
        """It has ended then; domains that run would go on."""
        self.connection.close()
        self._process.terminate()
        self._process.wait(PATIENCE)
