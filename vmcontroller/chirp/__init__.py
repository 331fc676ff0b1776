"""The host's Chirp client: blocking, one thread for each connection. The daemon uses vmcontroller.transfer."""
