"""A command's way into a guest and back, beside qemu-guest-agent's and that of ssh with a kept connection."""

from __future__ import annotations

from functools import partial

from tests.bench.bench_roundtrip import command, quantile, timed
from tests.bench.table import Row
from tests.bench.vm.peers import guest_agent, ssh
from tests.bench.vm.place import Place

COUNT, COUNT_SSH = 200, 50
#: Seconds between two questions whether the command has ended.
POLLS = (0.0, 0.01, 0.1)


def run(place: Place) -> list[Row]:
    """/bin/true; the guest agent at the pace at which it does best."""
    with place.guest() as folder:
        ours = timed(lambda: command(place.home), COUNT)
        with guest_agent(place, folder) as agent:
            polled = {poll: timed(partial(agent.command, poll), COUNT // 2) for poll in POLLS}
        with ssh(place, folder) as remote:
            kept = timed(remote.command, COUNT_SSH)
        again = timed(lambda: command(place.home), COUNT)
    ours = sorted(ours + again)
    pace = min(POLLS, key=lambda poll: quantile(polled[poll], 0.5))
    rows = []
    for name, share in (("p50", 0.5), ("p90", 0.9)):
        mine = quantile(ours, share)
        for peer, times in ((f"guest-exec, asked each {1000 * pace:g} ms", polled[pace]), ("ssh, kept", kept)):
            theirs = quantile(times, share)
            rows.append(Row(f"command {name}", "ms", mine, peer, theirs, "the fastest of the three", mine < theirs))
    return rows
