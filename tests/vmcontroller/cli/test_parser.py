"""argv and what comes of it, without any daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vmcontroller.cli.conftest import Call
from vmcontroller.cli.call import argument
from vmcontroller.cli.copying import Place
from vmcontroller.cli.parser import parse, parser


@pytest.mark.parametrize(
    ("argv", "vm", "command"),
    [
        (["run", "w1", "--", "ls", "-l"], "w1", ["ls", "-l"]),
        (["run", "--cwd", "/", "w1", "ls"], "w1", ["ls"]),
        (["run", "w1", "--cwd", "/", "--", "grep", "--", "-x"], "w1", ["grep", "--", "-x"]),
        (["run", "w1", "ls", "--", "--json"], "w1", ["ls", "--json"]),
        (["run", "a VM", "--", ""], "a VM", [""]),
    ],
)
def test_a_command_is_taken_as_it_stands(argv: list[str], vm: str, command: list[str]) -> None:
    """Nothing behind ``--`` is ours, a second ``--`` included."""
    arguments = parse(argv)
    assert (arguments.vm, arguments.command) == (vm, command)


@pytest.mark.parametrize("verb", [["list"], ["snapshot", "list", "w1"], ["run", "w1", "ls"], ["daemon"]])
def test_what_all_verbs_share_may_stand_on_either_side(verb: list[str]) -> None:
    """The one said last holds."""
    for argv in (["--json", "--state-dir", "/a", *verb], [*verb, "--state-dir", "/a", "--json"]):
        arguments = parse(argv)
        assert (arguments.json, arguments.state_dir) == (True, "/a")
    assert parse(["--state-dir", "/a", *verb, "--state-dir", "/b"]).state_dir == "/b"
    assert (parse(verb).json, parse(verb).state_dir) == (False, "")


def test_a_command_behind_options_is_taken_as_it_stands() -> None:
    """The verb is found wherever it stands."""
    arguments = parse(["--state-dir", "run", "--json", "run", "w1", "--", "ls", "--", "--json"])
    assert (arguments.state_dir, arguments.command) == ("run", ["ls", "--", "--json"])


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ([], 2, "VERB"),
        (["fly"], 2, "invalid choice: 'fly'"),
        (["start"], 2, "VM; see vmcontroller start --help"),
        (["snapshot"], 2, "VERB; see vmcontroller snapshot --help"),
        (["list", "--jso"], 2, "unrecognized arguments: --jso"),
        (
            ["run", "w1", "ls", "-la"],
            125,
            "-la; if they are the command's, put -- before it: vmcontroller run VM -- COMMAND",
        ),
        (["run", "-x", "w1", "--", "ls"], 125, "unrecognized arguments: -x; see vmcontroller --help"),
        (["--json", "run", "w1"], 125, "no command is given"),
        (["run"], 125, "VM, COMMAND; see vmcontroller run --help"),
        (["run", "w1"], 125, "no command is given"),
        (["run", "w1", "--timeout", "x", "--", "ls"], 125, "argument --timeout: 'x' is no number of seconds"),
        (["run", "w1", "--timeout", "-1", "--", "ls"], 125, "'-1' is no number of seconds"),
        (["stop", "--wait", "inf", "w1"], 2, "argument --wait: 'inf' is no number of seconds"),
        (["call"], 2, "required: METHOD; see vmcontroller call --help"),
        (["run", "w1", "--env", "=x", "--", "ls"], 125, "argument --env: '=x' is not NAME=VALUE"),
        (["cp", "a"], 2, "a destination is missing"),
        (["cp", "a", "b"], 2, "no side is in a VM; write the one in the VM as VM:path"),
        (["cp", "w1:a", "w2:b"], 2, "both sides are in a VM; copy it here first"),
        (["cp", "a", "w1:a", "w2:b"], 2, "both sides are in a VM"),
        (["daemon", "--set", "x"], 2, "argument --set: 'x' is not NAME=VALUE"),
        (["daemon", "--set", "x=1"], 1, "the command line: x is no setting"),
        (["daemon", "--config", "/nowhere/x.toml"], 1, "/nowhere/x.toml: No such file"),
        (["daemon", "--background", "--set", "guests.grace=long"], 1, "guests.grace is 'long'; it must be a number"),
        (["stop-daemon"], 3, "no daemon runs for"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(call: Call, tmp_path: Path, argv: list[str], code: int, says: str) -> None:
    """One line on stderr, nothing on stdout, and nothing was started."""
    done = call(*argv)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("vmcontroller: ")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_and_version_are_no_errors(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    """They exit with 0."""
    assert call("--help").code == call("run", "--help").code == call("--version").code == 0
    assert "vmcontroller run [OPTIONS] VM -- COMMAND" in capsys.readouterr().out


def test_every_verb_has_help() -> None:
    """The whole list fits on one screen."""
    assert len(parser().format_help().splitlines()) < 45


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("w1", "w1"),
        ("7", 7),
        ('"7"', "7"),
        ("-1.5", -1.5),
        ("true", True),
        ("[1, {}]", [1, {}]),
        ("null", "null"),
        ("NaN", "NaN"),
        ("{", "{"),
        ("", ""),
    ],
)
def test_arguments_of_call_are_json_where_they_can_be(word: str, value: object) -> None:
    """What XML-RPC has no form for stays text."""
    assert argument(word) == value


@pytest.mark.parametrize(
    ("word", "vm", "path", "name"),
    [
        ("w1:in", "w1", "in", "in"),
        ("w1:", "w1", "", "w1"),
        ("w1:/a/b/", "w1", "/a/b/", "b"),
        ("my vm:a:b", "my vm", "a:b", "a:b"),
        ("./w1:in", "", "./w1:in", "w1:in"),
        ("/tmp/x/", "", "/tmp/x/", "x"),
        (":x", "", ":x", ":x"),
    ],
)
def test_places_of_cp(word: str, vm: str, path: str, name: str) -> None:
    """A slash before the colon means that it is a path here."""
    place = Place.of(word)
    assert (place.vm, place.path, place.name) == (vm, path, name)
