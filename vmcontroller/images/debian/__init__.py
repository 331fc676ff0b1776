"""Builds the guest image: Debian 12 from the system's own package sources, with the agent of this installation inside.

``build(order, into, tell)`` does it all; every other module here makes one part and knows none of the others.
Linux only: what it calls, Debian and its children have.
"""

from vmcontroller.images.debian.assembly import build
from vmcontroller.images.debian.order import Order
from vmcontroller.images.debian.sources import mirror

__all__ = ["Order", "build", "mirror"]
