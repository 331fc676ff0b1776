"""The host daemon: one XML-RPC face, hypervisor plugins, a STOMP broker, and a ledger of every command."""

__version__ = "1.0.0.dev0"
