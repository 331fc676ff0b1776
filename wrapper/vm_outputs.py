"""Both outputs of a VM task's program, on the host: where they go, and how far they are."""

from __future__ import annotations

from job_xml import model
from wrapper.outputs import Counted, Output, Sink, into, to_own
from wrapper.task import Place
from wrapper.vm_memory import Memory

STREAMS = ("out", "err")
#: Octets that are fetched with one call.
PIECE = 1024 * 1024


class Outputs:
    """``sizes`` and ``base`` are octets by stream, as in wrapper.vm_memory."""

    def __init__(self, task: model.Task, place: Place, memory: Memory) -> None:
        names = {"out": task.stdout_filename, "err": task.stderr_filename}
        paths = {stream: place.path(name) for stream, name in names.items() if name}
        shared = len(set(paths.values())) < len(paths)
        self.streams: dict[str, Output] = {}
        for stream in STREAMS:
            base = memory.base[stream]
            if stream in paths and not shared:
                self.streams[stream] = Output(paths[stream], base)
            else:
                sink = into(paths[stream]) if shared else _own(stream, place)
                self.streams[stream] = Counted(sink, base, memory.sizes[stream])
        self._to_clear = set(paths.values())

    def clear(self) -> None:
        """A task begins: its files are written anew, as in 2009. OSError."""
        for path in self._to_clear:
            path.write_bytes(b"")
        self.cut(dict.fromkeys(STREAMS, 0))

    def sizes(self) -> dict[str, int]:
        """How much is here."""
        return {name: stream.size for name, stream in self.streams.items()}

    def cut(self, sizes: dict[str, int]) -> None:
        """Take back what came after these sizes. OSError."""
        for name, stream in self.streams.items():
            stream.cut(sizes[name])

    def start_at(self, base: dict[str, int]) -> None:
        """Another command begins; its octets follow on ``base``."""
        for name, stream in self.streams.items():
            stream.base = base[name]


def _own(stream: str, place: Place) -> Sink:
    """Where output goes that no element sends anywhere, as on the host."""
    return to_own("stdout" if stream == "out" and place.options.events != "-" else "stderr")
