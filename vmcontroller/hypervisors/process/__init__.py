"""The embedded hypervisor: every "VM" is the real guest agent in a private directory, as a child process.

For trying things out and for tests. It isolates nothing: what runs in such a machine runs as the user, and nothing
holds it to the memory, processors and network of its spec. It needs Linux (docs/decisions/process-hypervisor.md).
"""

from __future__ import annotations

from pathlib import Path

from vmcontroller.hypervisors.common.host import IPluginReactor
from vmcontroller.hypervisors.process.hypervisor import ProcessHypervisor
from vmcontroller.hypervisors.process.launch import agent_command


def create(reactor: IPluginReactor, state_dir: Path, owner: str) -> ProcessHypervisor:
    """The plugin's factory; nothing is touched before connect()."""
    return ProcessHypervisor(reactor, state_dir, owner, agent_command())
