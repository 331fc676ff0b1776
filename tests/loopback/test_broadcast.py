"""Two broadcasts to fifty VMs at once: a hundred results, each once, each from whom it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.loopback.house import house

VMS = 50


@pytest.mark.skipif(os.name != "posix", reason="the process hypervisor needs Unix")
def test_two_broadcasts_to_fifty(tmp_path: Path) -> None:
    """Every VM answers both, as itself, and a VM that is not meant answers neither."""
    with house(tmp_path / "state") as home:
        home.vms("other", *(f"worker-{n}" for n in range(VMS)))
        script = 'echo "$1 $VMCONTROLLER_ID"; echo run >> "ran-$1"'
        asked = {text: home.run("worker-*", "/bin/sh", "-c", script, "sh", text) for text in ("one", "two")}
        ids = home.call("getNamesToIdsMapping")
        for text, cmd_id in asked.items():
            results = home.result(cmd_id)
            assert sorted(results) == sorted(f"worker-{n}" for n in range(VMS))
            for name, result in results.items():
                assert (result["outcome"], result["out"]) == ("exited", f"{text} {ids[name]}\n")
        counted = home.result(home.run("worker-*", "/bin/sh", "-c", "cat ran-one ran-two"))
        assert {result["out"] for result in counted.values()} == {"run\nrun\n"}
        assert home.shell("other", "ls")["out"] == ""
