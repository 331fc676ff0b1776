"""The XML-RPC face: one entry point for the hypervisor and for the guests.

``Api(…).dispatch`` is what rpc.py calls. Each module here holds one family of methods, whose docstrings are the
reference: docs/reference/api.md is made from them, and from IHypervisor for the verbs that are the hypervisor's.
"""

from vmcontroller.api.dispatch import Api

__all__ = ["Api"]
