"""The embedded STOMP broker: topics and queues, logins with rules, and bounds on everything a client can ask for.

    broker = Broker(reactor)
    broker.allow("vm1", passcode, read=["/topic/x.vm1.in"], write=["/topic/x.vm1.out"])
    reactor.listenTCP(0, broker.factory, interface="127.0.0.1")

It knows STOMP's commands and no word of ours. What it does and does not do: docs/reference/broker.md.
"""

from vmcontroller.broker.broker import Broker
from vmcontroller.broker.limits import Limits

__all__ = ["Broker", "Limits"]
