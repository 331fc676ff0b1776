"""init_data.xml, which is not always XML."""

from __future__ import annotations

from pathlib import Path

from wrapper import initdata
from wrapper.initdata import InitData

TEXT = """<app_init_data>
<project_preferences>
<x>raw & not <well formed> <result_name>not this</result_name>
</project_preferences>
<result_name>r&amp;1_0</result_name>
<project_dir>/var/lib/boinc/projects/p</project_dir>
<checkpoint_period>60.000000</checkpoint_period>
<gpu_device_num>1</gpu_device_num>
<process_priority>2</process_priority>
<no_priority_change/>
<global_preferences><checkpoint_period>7</checkpoint_period></global_preferences>
</app_init_data>"""


def test_the_top_level_counts(tmp_path: Path) -> None:
    """Blocks may repeat its names and hold anything."""
    (tmp_path / "init_data.xml").write_text(TEXT)
    assert initdata.read(tmp_path) == InitData("/var/lib/boinc/projects/p", "r&1_0", 60.0, 1, 2, True)


def test_what_is_missing_has_its_default(tmp_path: Path) -> None:
    """No file is another thing than an empty one."""
    assert initdata.read(tmp_path) is None
    (tmp_path / "init_data.xml").write_text("<app_init_data><no_priority_change>0</no_priority_change>")
    assert initdata.read(tmp_path) == InitData()
