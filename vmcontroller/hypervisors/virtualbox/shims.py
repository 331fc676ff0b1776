"""Where VirtualBox 7 differs from 6.1, for which pyvbox was made. Everything else in this package is the same for both.

What changed, and since when:

* 7.0 put AbortedSaved into MachineState and renumbered what follows: pyvbox calls a running machine Paused. States are
  read as numbers and named by the installed VirtualBox's own table.
* createMachine: 7.0 asks for cipher, password id and password, too, 7.1 for the platform's architecture. openMachine:
  7.0 asks for a password.
* The I/O APIC and the clock moved away from IMachine: to firmwareSettings (7.1) and platform (7.1); the audio adapter
  to audioSettings (7.0).

Attributes that pyvbox does not know are read and set at ``_i``, the object that it wraps.
"""

from __future__ import annotations

from typing import Any

#: PlatformArchitecture_x86, of 7.1.
_X86 = 1


class Shims:
    """One face for all versions. ``labels`` are MachineState's, by number."""

    def __init__(self, library: Any, vbox: Any, version: tuple[int, int], labels: dict[int, str]) -> None:
        self._library = library
        self._vbox = vbox
        self._version = version
        self._labels = labels

    def state(self, machine: Any) -> str:
        """The label of a machine's state."""
        return self._labels.get(int(machine._i.state), "Unknown")

    def create_machine(self, settings: str, name: str, groups: list[str], os_type: str, flags: str) -> Any:
        """IVirtualBox.createMachine."""
        if self._version >= (7, 1):
            arguments = [settings, name, _X86, groups, os_type, flags, "", "", ""]
        elif self._version >= (7, 0):
            arguments = [settings, name, groups, os_type, flags, "", "", ""]
        else:
            arguments = [settings, name, groups, os_type, flags]
        return self._library.IMachine(self._vbox._call("createMachine", in_p=arguments))

    def open_machine(self, settings: str) -> Any:
        """IVirtualBox.openMachine, for a machine that is not encrypted."""
        arguments = [settings, ""] if self._version >= (7, 0) else [settings]
        return self._library.IMachine(self._vbox._call("openMachine", in_p=arguments))

    def clock_in_utc(self, machine: Any) -> None:
        """The machine's clock counts UTC, as Linux guests expect."""
        owner = machine._i.platform if self._version >= (7, 1) else machine._i
        owner.RTCUseUTC = True

    def with_io_apic(self, machine: Any) -> None:
        """The machine has an I/O APIC, without which it cannot use more than one processor."""
        owner = machine._i.firmwareSettings if self._version >= (7, 1) else machine._i.BIOSSettings
        owner.IOAPICEnabled = True

    def without_sound(self, machine: Any) -> None:
        """The machine has no sound card."""
        adapter = machine._i.audioSettings.adapter if self._version >= (7, 0) else machine._i.audioAdapter
        adapter.enabled = False
