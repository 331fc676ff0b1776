"""The daemon's API for its callers: ``connect(state_dir).call("method", …)``, and ``start`` where no daemon runs."""

from vmcontroller.client.calls import Address, ApiFault, Client, ConnectionLost, octets, text
from vmcontroller.client.daemons import LOG_FILE, await_stopped, connect, default_state_dir, find, start

__all__ = [
    "LOG_FILE",
    "Address",
    "ApiFault",
    "Client",
    "ConnectionLost",
    "await_stopped",
    "connect",
    "default_state_dir",
    "find",
    "octets",
    "start",
    "text",
]
