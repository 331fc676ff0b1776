"""The tests with the real VirtualBox need it in its chroot: they run only there, by ``make test-virtualbox``."""

from __future__ import annotations

import os

collect_ignore = [] if "VMCONTROLLER_REAL_VIRTUALBOX" in os.environ else ["test_virtualbox.py"]
