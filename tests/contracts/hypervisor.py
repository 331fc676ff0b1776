"""What every hypervisor plugin must pass, whatever it drives: the suite behind docs/reference/plugins.md.

A plugin's test class is ``class TestMine(HypervisorContract, TestCase)`` and says what the suite cannot know: how
to make the plugin, how to pull its plug, how to look into its machines (tests/contracts/harness.py). What it leaves
out is skipped, visibly.
"""

from __future__ import annotations

from tests.contracts.company import Company
from tests.contracts.extras import Extras
from tests.contracts.life import Life
from tests.contracts.refusals import Refusals
from tests.contracts.snapshots import Snapshots
from tests.contracts.succession import Succession


class HypervisorContract(Life, Refusals, Company, Snapshots, Succession, Extras):
    """Every promise of IHypervisor, and of what the plugin provides besides."""
