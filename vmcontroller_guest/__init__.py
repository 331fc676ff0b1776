"""The agent inside every VM: it runs commands, streams what they print, and serves files."""
