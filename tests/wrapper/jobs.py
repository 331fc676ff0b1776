"""What tests of jobs share: a task on the host, a task in a VM, and a wrapper that finds the scripted daemon."""

from __future__ import annotations

from pathlib import Path

from tests.wrapper.harness import Rig, Slot
from wrapper.initdata import InitData
from wrapper.options import Options


def another(slot: Slot, tmp_path: Path) -> Rig:
    """Another wrapper for the same slot."""
    rig = Rig(slot, Options(state_dir=tmp_path / "state"))
    rig.client.init_data = InitData(result_name="result_1")
    return rig


def host_task(inside: str = "") -> str:
    """Runs the program a on the host."""
    return f"<task><application>a</application><stdout_filename>out</stdout_filename>{inside}</task>"


def task(inside: str = "", label: str = "vm") -> str:
    """Runs the program worker in a VM."""
    return (
        f"<task><virtualmachine>{label}</virtualmachine><application>worker</application><copy_app_to_VM/>"
        f"<stdout_filename>out</stdout_filename>{inside}</task>"
    )
