"""Brokers to be measured, each a private instance in a directory of its own that vanishes with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stomp_client import Client, Server

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
ACTIVEMQ = Path("/usr/share/activemq/bin/activemq.jar")
PATIENCE = 60

#: An ActiveMQ that keeps nothing on disk and listens for STOMP on loopback only.
_ACTIVEMQ_XML = """<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
    http://www.springframework.org/schema/beans/spring-beans.xsd
    http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" persistent="false" useJmx="false" dataDirectory="{home}">
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{port}?transport.tcpNoDelay=true"/>
    </transportConnectors>
  </broker>
</beans>
"""


class DidNotStart(Exception):
    """A broker that is installed does not answer; the text says which."""


@contextmanager
def ours() -> Iterator[Server]:
    """The embedded broker, alone in a process."""
    with _process([sys.executable, "-m", "tests.bench.stomp_broker"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Server("ours", int(process.stdout.readline()))


@contextmanager
def rabbitmq() -> Iterator[Server]:
    """Debian's rabbitmq-server with the STOMP plugin it brings."""
    with ExitStack() as stack:
        home = stack.enter_context(_directory())
        port, dist, epmd = _free_port(), _free_port(), _free_port()
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nstomp.listeners.tcp.1 = 127.0.0.1:{port}\nstomp.tcp_listen_options.nodelay = true\n"
        )
        (home / "plugins").write_text("[rabbitmq_stomp].\n")
        environment = os.environ | {
            "HOME": str(home),
            "RABBITMQ_NODENAME": f"bench{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(dist),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        }
        stack.enter_context(_process(["epmd", "-port", str(epmd)], env=environment))
        stack.enter_context(_process([str(RABBITMQ)], env=environment))
        yield _wait_for(Server("RabbitMQ", port))


@contextmanager
def activemq() -> Iterator[Server]:
    """Debian's ActiveMQ, which keeps messages in memory."""
    with _directory() as home:
        port = _free_port()
        (home / "activemq.xml").write_text(_ACTIVEMQ_XML.format(home=home, port=port))
        options = [f"-Dactivemq.{name}={home}" for name in ("base", "conf", "data")]
        command = ["java", "-Xmx512m", *options, "-Dactivemq.home=/usr/share/activemq", "-jar", str(ACTIVEMQ)]
        with _process([*command, "start", f"xbean:file:{home}/activemq.xml"]):
            yield _wait_for(Server("ActiveMQ", port))


@dataclass(frozen=True)
class Peer:
    """A broker of others: its Debian package, how one sees that it is there, and how it is started."""

    name: str
    package: str
    installed: Callable[[], bool]
    start: Callable[[], AbstractContextManager[Server]]


PEERS = (
    Peer("RabbitMQ", "rabbitmq-server", RABBITMQ.exists, rabbitmq),
    Peer("ActiveMQ", "activemq", lambda: ACTIVEMQ.exists() and shutil.which("java") is not None, activemq),
)


@contextmanager
def _process(command: list[str], **options) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which ends with everything that it started."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **(quiet | options))
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def _directory() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="vmc-bench-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(server: Server) -> Server:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            Client(server).close()
            return server
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise DidNotStart(f"{server.name} did not come up within {PATIENCE} s") from None
            time.sleep(0.2)
