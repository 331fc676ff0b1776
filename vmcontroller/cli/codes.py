"""The exit codes of the command line."""

DONE = 0
#: What was asked for was refused or failed; the sentence on stderr says why.
FAILED = 1
#: The arguments make no sense.
USAGE = 2
#: No daemon runs, none could be started, or it went away.
NO_DAEMON = 3
#: ``run``: the command took longer than --timeout.
TIMED_OUT = 124
#: ``run``: no outcome of the command is known, or the command line itself failed.
RUN_FAILED = 125
#: ``run``: the command was found and could not be started.
NOT_EXECUTABLE = 126
#: ``run``: the command was not found.
NOT_FOUND = 127
#: A signal ended it: this and the signal's number.
SIGNALLED = 128
INTERRUPTED = SIGNALLED + 2
BROKEN_PIPE = SIGNALLED + 13
