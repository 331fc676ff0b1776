"""Bytes to values and back, and nothing else: no socket, no clock, no file is touched in this package."""
