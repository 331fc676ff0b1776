"""Every word, as an example and as hypothesis makes it up."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import strategies as st

from vmcontroller.wire import words
from vmcontroller.wire.words import OUTCOMES, RU_FIELDS, STREAMS, StreamReport, Word

texts = st.text(max_size=30) | st.binary(max_size=30).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
counts = st.integers(0, 2**63 - 1)
integers = st.integers(1 - 2**63, 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.floats(0, allow_infinity=False)
cmd_ids = st.from_regex(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,63}", fullmatch=True)
lists = st.lists(texts, max_size=4).map(tuple)
octets = st.binary(max_size=200) | st.just(bytes(range(256)) * 256)
encoded = st.binary(max_size=30).map(lambda data: b64encode(data).decode())


def by_name(items: st.SearchStrategy[Any], names: st.SearchStrategy[str] = texts) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names, items, max_size=4)


reports = st.builds(words.CommandReport, st.sampled_from(["running", "finished", "dead"]), counts, counts)
verdicts = st.builds(words.Verdict, st.sampled_from(["keep", "forget", "foreign"]), counts, counts)
streams = st.builds(StreamReport, counts, texts, texts, encoded)
limits = st.builds(words.Limits, amounts, amounts, counts, counts, st.sampled_from(["kill", "leave"]))
stdins = st.builds(words.Stdin, st.sampled_from(["none", "inline", "file", "stream"]), texts, encoded)

#: How the fields of each word are made up.
ANY: dict[type[Word], st.SearchStrategy[Any]] = {
    words.Who: st.builds(words.Who),
    words.Hello: st.builds(
        words.Hello,
        nonce=texts,
        id=texts,
        journal=texts,
        session=counts,
        name=texts,
        addresses=lists,
        versions=by_name(texts),
        chirp_port=counts,
        commands=by_name(reports, cmd_ids),
    ),
    words.Welcome: st.builds(
        words.Welcome, session=counts, nonce=texts, proof=texts, time=numbers, verdicts=by_name(verdicts, cmd_ids)
    ),
    words.Bye: st.builds(words.Bye, reason=texts),
    words.StillAlive: st.builds(
        words.StillAlive,
        load=st.lists(numbers, max_size=3).map(tuple),
        memory=by_name(numbers),
        disk=by_name(numbers),
        commands=by_name(by_name(numbers, st.sampled_from(RU_FIELDS)), cmd_ids),
    ),
    words.Ping: st.builds(words.Ping, ping_id=texts, timestamp=texts),
    words.Pong: st.builds(words.Pong, ping_id=texts, timestamp=texts),
    words.CmdRun: st.builds(
        words.CmdRun,
        cmd_id=cmd_ids,
        cmd=texts,
        session=counts,
        audience=lists,
        args=lists,
        env=by_name(texts),
        path=texts,
        stdin=stdins,
        limits=limits,
    ),
    words.CmdAccepted: st.builds(words.CmdAccepted, cmd_id=cmd_ids),
    words.CmdOutput: st.builds(
        words.CmdOutput, cmd_id=cmd_ids, stream=st.sampled_from(STREAMS), offset=counts, data=octets
    ),
    words.CmdStdin: st.builds(words.CmdStdin, cmd_id=cmd_ids, offset=counts, eof=st.booleans(), data=octets),
    words.CmdSignal: st.builds(words.CmdSignal, cmd_id=cmd_ids, signal_id=cmd_ids, signal=counts),
    words.CmdResults: st.builds(
        words.CmdResults,
        cmd_id=cmd_ids,
        outcome=st.sampled_from(OUTCOMES),
        exit_code_or_signal=integers,
        reason=texts,
        left=counts,
        resources=by_name(numbers, st.sampled_from(RU_FIELDS)),
        started=numbers,
        seconds=numbers,
        out=streams,
        err=streams,
    ),
    words.CmdAck: st.builds(
        words.CmdAck,
        cmd_id=cmd_ids,
        of=st.sampled_from(["out", "err", "stdin", "signal", "results", "session"]),
        offset=counts,
        signal_id=texts,
    ),
    words.Aint: st.builds(words.Aint, about=texts, why=texts),
}

#: One of each word, as it may be said.
EXAMPLES: list[Word] = [
    words.Who(),
    words.Hello(
        "n1", "vm-1", "j1", 3, "VM 1", ("10.0.2.15",), {"agent": "1"}, 9094, {"c1": words.CommandReport("dead")}
    ),
    words.Welcome(4, "n1", "ab" * 32, 1.5, {"c1": words.Verdict("keep", 5, 0)}),
    words.Bye("SIGTERM"),
    words.StillAlive((0.5, 0.25, 0.0), {"total": 1e9}, {"free": 1.0}, {"c1": {"ru_utime": 0.25, "processes": 2}}),
    words.Ping("p1", "12.5"),
    words.Pong("p1", "12.5"),
    words.CmdRun(
        "c1", "/bin/echo", 4, ("vm-1",), ("a b", "ü"), {"A": "1"}, "sub", words.Stdin("file", "in"), words.Limits(9.0)
    ),
    words.CmdAccepted("c1"),
    words.CmdOutput("c1", "err", 7, b"\0\xff\n"),
    words.CmdStdin("c1", 0, True, b""),
    words.CmdSignal("c1", "s1", 15),
    words.CmdResults(
        "c1", "exited", 3, "why", 1, {"ru_utime": 0.5}, 1e9, 2.0, StreamReport.of(b"out", "0a"), StreamReport()
    ),
    words.CmdAck("c1", "out", 5),
    words.Aint("SPEAK", "it is not a word"),
]
each = pytest.mark.parametrize("word", EXAMPLES, ids=lambda word: word.WORD)
