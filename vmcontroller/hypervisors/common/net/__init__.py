"""A closed network of one guest and its gateway, which is this process: docs/decisions/closed-network.md tells why.

frames.py and segment.py turn octets into values; sending.py, receiving.py and tcp.py are one TCP connection without
a socket or a clock; dhcp.py gives the guest its address; network.py holds the wire, and transport.py shows a
connection to Twisted. The gateway dials the guest and nothing else: no packet of a guest makes it open a socket.
"""
