"""A client of 2009 with nothing changed but its URL, under Python 3 and, where there is one, Python 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback.house import DEADLINE, house

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")

#: The calls that the wrapper of 2009 makes for one task, in its order and with its forms of arguments.
CLIENT = r"""
import sys, time
try:
    import xmlrpclib
except ImportError:
    import xmlrpc.client as xmlrpclib

server = xmlrpclib.ServerProxy(sys.argv[1])
vm = 'legacy 1'
if vm not in server.listAvailableVMs():
    server.createVM(vm, '')
if server.getState(vm) != 'Saved':
    try:
        server.restoreSnapshot(vm)
    except xmlrpclib.Fault:
        pass  # as in 2009: it has never run
server.start(vm)
while vm not in server.listRunningVMs():
    time.sleep(0.05)
while True:
    try:
        pong = server.ping(vm)
        break
    except xmlrpclib.Fault:
        time.sleep(0.05)
assert pong == 'PONG from legacy 1', pong
out, err, status = server.cpFileToVM(vm, './worker.sh', './worker.sh')
assert status == 0, err
out, err, status = server.cpFileToVM(vm, './stdin_worker', './stdin_worker')
assert status == 0, err
out, err, status = server.cpFileToVM(vm, './missing', './missing')
assert status != 0 and err
cmd_id = server.runCmd(vm, './worker.sh', ['3 '], '{}', 'None', 'stdin_worker')
while cmd_id not in server.listFinishedCmds():
    time.sleep(0.05)
result = server.getCmdResults(cmd_id)
assert result['out'] == 'got [3 ] and input\n', result
assert result['err'] == '' and result['exitCodeOrSignal'] == 0 and result['finished'] is True, result
assert result['resources']['ru_utime'] + result['resources']['ru_stime'] >= 0
assert cmd_id not in server.listFinishedCmds()
out, err, status = server.cpFileFromVM(vm, 'result', 'result')
assert status == 0, err
server.pause(vm)
assert server.getState(vm) == 'Paused'
server.unpause(vm)
assert server.getState(vm) == 'Running'
server.saveSnapshot(vm, 'checkpoint')
server.saveState(vm)
assert server.getState(vm) == 'Saved'
assert vm not in server.listRunningVMs()
print('all as in 2009')
"""

WORKER = """#!/bin/sh
read line
echo "got [$1] and $line"
echo done > result
"""


def interpreters() -> list[str]:
    """This Python, and a Python 2 that runs."""
    candidates = [shutil.which("python2.7"), shutil.which("python2"), *_of_pyenv()]
    for path in filter(None, candidates):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return [sys.executable, path]
    return [sys.executable]


def _of_pyenv() -> list[str]:
    """Many developers keep their old Pythons there."""
    if not shutil.which("pyenv"):
        return []
    root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
    return [str(path) for path in Path(root).glob("versions/2.7*/bin/python2.7")]


@pytest.mark.parametrize("python", ["3", "2"])
def test_client_of_2009(python: str, tmp_path: Path) -> None:
    """Every call and every form of argument of the 2009 wrapper works, relative paths through ?cwd= in the URL."""
    available = interpreters()
    if python == "2" and len(available) == 1:
        pytest.skip("no Python 2 is installed (Debian has none since 12; any python2.7 on the PATH is used)")
    slot = tmp_path / "slot"
    slot.mkdir()
    (slot / "worker.sh").write_text(WORKER)
    (slot / "worker.sh").chmod(0o755)
    (slot / "stdin_worker").write_text("input\n")
    (slot / "client.py").write_text(CLIENT)
    with house(tmp_path / "state") as home:
        url = f"{home.address.url}?cwd={slot}"
        command = [available[-1] if python == "2" else available[0], str(slot / "client.py"), url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert (ran.returncode, ran.stdout) == (0, "all as in 2009\n"), ran.stderr
    assert (slot / "result").read_text() == "done\n"
