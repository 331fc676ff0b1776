"""The STOMP client that host and guest share. It knows frames and destinations, and no word that is said in them.

    messenger = Messenger(reactor, endpoint, login, passcode, "/", ["/topic/a"], on_up, on_message, on_down)
    messenger.startService()

A guest that is dialled gives None as endpoint and hands each proven connection to ``messenger.adopt``.
"""

from vmcontroller.messaging.client import Account, StompClient
from vmcontroller.messaging.messenger import Messenger

__all__ = ["Account", "Messenger", "StompClient"]
