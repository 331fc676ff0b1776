"""``daemon`` and ``stop-daemon``: the only verbs that are about the daemon's own life.

The daemon itself is imported when it is to run in this process, and only then: every other verb is quick.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vmcontroller import client
from vmcontroller.cli.session import Session
from vmcontroller.cli.verbs import Verbs, assignment
from vmcontroller.config import Config, load
from vmcontroller.errors import BadState, VMControllerError

STOP_SECONDS = 120.0


def declare(verbs: Verbs) -> None:
    """The two verbs."""
    parser = verbs.add("daemon", run_daemon, "run the daemon here, or in the background")
    parser.add_argument("--config", metavar="FILE", help="settings in TOML (docs/reference/configuration.md)")
    parser.add_argument("--hypervisor", metavar="NAME", help="the hypervisor plugin")
    parser.add_argument("--while-leased", action="store_true", help="leave when the last lease is gone")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", type=assignment, action="append", default=[], help="any other setting"
    )
    parser.add_argument("--background", action="store_true", help="start it in the background and return when ready")
    parser.add_argument("--ready-fd", metavar="N", type=int, help="write 'ready' or the error to this descriptor")
    parser.add_argument("--detach", action="store_true", help="become nobody's child and leave the directory first")
    stop = verbs.add("stop-daemon", stop_daemon, "save the VMs and stop the daemon")
    stop.add_argument("--leave-vms", action="store_true", help="let the VMs run on without it")


def run_daemon(session: Session) -> int:
    """Become the daemon; with --background, start it and return."""
    if session.arguments.background:
        return _background(session)
    if session.arguments.detach and hasattr(os, "fork") and os.fork():
        os._exit(0)
    with _telling(session.arguments.ready_fd):
        config = _config(session.arguments)
        if session.arguments.detach:
            os.chdir(_home(config))
        from vmcontroller.daemon import run  # noqa: PLC0415 — what it imports makes every other verb slow

        return run(config, session.arguments.ready_fd)


@contextmanager
def _telling(ready_fd: int | None) -> Iterator[None]:
    """What is wrong with the settings is told to who waits for the daemon, too."""
    try:
        yield
    except VMControllerError as error:
        if ready_fd is not None:
            os.write(ready_fd, f"error {error.code} {error}\n".encode())
        raise


def _background(session: Session) -> int:
    config = _config(session.arguments)
    home = _home(config)
    address = client.start(home, _options(session.arguments))
    told = {"stateDir": str(home), "pid": address.pid, "port": address.port, "id": address.id}
    session.show(told, f"the daemon {address.id} (pid {address.pid}) serves port {address.port} for {home}")
    return 0


def _config(arguments: Namespace) -> Config:
    """The settings in force, the state directory among them."""
    path = Path(arguments.config) if arguments.config else None
    config = load(path, os.environ, _settings(arguments))
    return replace(config, state_dir=_home(config))


def _settings(arguments: Namespace) -> dict[str, str]:
    settings = dict(arguments.set)
    if arguments.state_dir:
        settings["state_dir"] = arguments.state_dir
    if arguments.hypervisor:
        settings["hypervisor"] = arguments.hypervisor
    if arguments.while_leased:
        settings["while_leased"] = "true"
    return settings


def _home(config: Config) -> Path:
    return config.state_dir.absolute() if config.state_dir else client.default_state_dir()


def _options(arguments: Namespace) -> list[str]:
    """The same settings once more, for a daemon in another process and another directory."""
    options = [f"--set={key}={value}" for key, value in arguments.set]
    if arguments.config:
        options += ["--config", str(Path(arguments.config).absolute())]
    if arguments.hypervisor:
        options += ["--hypervisor", arguments.hypervisor]
    return options + ["--while-leased"] * arguments.while_leased


def stop_daemon(session: Session) -> None:
    """Ask it to stop and wait until it is gone."""
    with session.connect() as api:
        api.call("stopDaemon", not session.arguments.leave_vms)
    if not client.await_stopped(session.state_dir, api.address, STOP_SECONDS):
        raise BadState(f"the daemon still runs after {STOP_SECONDS:g} s; {client.LOG_FILE} says what it does")
    session.show({"stopped": True}, "")
