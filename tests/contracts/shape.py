"""The contract: the shape of a plugin, and that nothing that it claims goes untested."""

from __future__ import annotations

from zope.interface import providedBy
from zope.interface.verify import verifyObject

from tests.contracts.accidents import Accidents
from tests.contracts.capabilities import CAPABILITIES
from tests.contracts.harness import Harness
from tests.contracts.insides import Insides
from vmcontroller.interfaces import IComposite, IHypervisor, IKeepsPrograms

#: Provided by some, and tested with every plugin: the suite asks which it has before it.
_EVERYWHERE = {IHypervisor, IKeepsPrograms, IComposite}
#: What a plugin's test tells of its machines, and the tests that are made of it.
_TOLD = {"crash": Accidents, "run_program": Insides, "write": Insides, "read": Insides}


class Shape(Harness):
    """Whoever claims a capability has it."""

    async def test_shape(self) -> None:
        """It provides every method of IHypervisor, and of each other interface that it claims."""
        self.assertTrue(IHypervisor.providedBy(self.hypervisor))
        for interface in providedBy(self.hypervisor):
            verifyObject(interface, self.hypervisor)

    async def test_version(self) -> None:
        """The version is a text."""
        self.assertRegex(await self.soon(self.hypervisor.version()), r"\S")

    async def test_capabilities(self) -> None:
        """The tests are those of just the capabilities that the plugin provides, and nothing told is left unused."""
        tested = {interface for interface, tests in CAPABILITIES.items() if isinstance(self, tests)}
        self.assertEqual(tested, set(providedBy(self.hypervisor)) - _EVERYWHERE)
        unused = [method for method, tests in _TOLD.items() if hasattr(self, method) and not isinstance(self, tests)]
        self.assertEqual(unused, [])
