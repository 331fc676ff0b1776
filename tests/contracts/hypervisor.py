"""What every hypervisor plugin must pass, whatever it drives: the suite behind docs/reference/plugins.md.

A plugin's test class is ``class TestMine(HypervisorContract, TestCase)`` and says what the suite cannot know: how
to make the plugin and what it leaves behind (tests/contracts/harness.py). Beside it stand, as further bases, the tests
of each optional interface that the plugin provides (capabilities.py), and those for a test that can make a machine
crash (accidents.py) or, more, look into it (insides.py).
"""

from __future__ import annotations

from tests.contracts.company import Company
from tests.contracts.life import Life
from tests.contracts.refusals import Refusals
from tests.contracts.shape import Shape
from tests.contracts.snapshots import Snapshots
from tests.contracts.succession import Succession


class HypervisorContract(Life, Refusals, Company, Snapshots, Succession, Shape):
    """Every promise of IHypervisor that can be seen from outside."""
