"""The last paragraph of stderr."""

from __future__ import annotations

import pytest

from wrapper.boinc import Stop
from wrapper.checkpoint import Checkpoint
from wrapper.summary import paragraph
from wrapper.task import Ending

USED = "2.0 s of running time and 1.0 s of CPU time"


@pytest.mark.parametrize(
    ("ending", "stopped", "done", "text"),
    [
        (Ending(0, "b ended"), None, 2, f"The job is done: its 2 tasks ended well in {USED}. The last one: b ended."),
        (Ending(195, "b failed"), None, 1, "The job failed in task 2 of 2: b failed. The exit code is 195."),
        (
            Ending(195, "b: No such file."),
            None,
            1,
            "The job failed in task 2 of 2: b: No such file. The exit code is 195.",
        ),
        (Ending(1, "no zip"), None, 2, "The job failed: no zip. The exit code is 1."),
        (Ending(-108, "odd"), None, 2, "The job failed: odd. The exit code is 148."),
    ],
)
def test_how_it_ended(ending: Ending, stopped: Stop | None, done: int, text: str) -> None:
    """What was done, or which task failed, why, and with which exit code; each sentence has one full stop."""
    assert paragraph(ending, stopped, Checkpoint(done, 1.0, 2.0), 2) == text


@pytest.mark.parametrize(("stopped", "text"), [(Stop.QUIT, "it goes on from there"), (Stop.ABORT, "VMs were removed")])
def test_told_to_go(stopped: Stop, text: str) -> None:
    """What has become of what it had started, and how far the job is."""
    said = paragraph(Ending(0, "b was stopped"), stopped, Checkpoint(1, 1.0, 2.0), 2)
    assert said.startswith("The wrapper was told to go during task 2 of 2. ")
    assert text in said
    assert said.endswith(f" Up to the checkpoint: {USED}.")


def test_one_task() -> None:
    """Is not called 1 tasks."""
    assert "its one task ended well" in paragraph(Ending(0, "a ended"), None, Checkpoint(1), 1)
