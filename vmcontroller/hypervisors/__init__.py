"""The plugins: each drives one kind of virtual machine through IHypervisor, and none knows another.

A plugin may import vmcontroller.interfaces, machine, errors and wire, and nothing else of the daemon.
How to add one: docs/reference/plugins.md.
"""

from vmcontroller.hypervisors.choice import load

__all__ = ["load"]
