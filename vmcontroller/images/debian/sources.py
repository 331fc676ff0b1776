"""Where packages come from: what apt on this machine is configured with, and no host that is named here."""

from __future__ import annotations

from vmcontroller.errors import BuildFailed
from vmcontroller.images.debian import tools
from vmcontroller.images.debian.order import SUITE

#: One line for each index of packages that apt knows, see apt-get(8), indextargets.
_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT)"


def system() -> tuple[str, ...]:
    """The lines of a sources.list for Debian 12. BuildFailed where apt knows none."""
    told = tools.run(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]).stdout
    lines = chosen(told)
    if not lines:
        raise BuildFailed(
            f"apt on this machine knows no package source of Debian 12 ({SUITE}); name one with --mirror URL"
        )
    return lines


def chosen(told: str) -> tuple[str, ...]:
    """Of what apt tells, the free part of Debian 12 with its updates, as lines of a sources.list."""
    entries = [line.split() for line in told.splitlines()]
    releases = (SUITE, f"{SUITE}-updates", f"{SUITE}-security", f"{SUITE}/updates")
    found = [f"deb {uri} {release} main" for uri, release, part in entries if release in releases and part == "main"]
    debian = [line for line in found if f" {SUITE} " in line]
    return tuple(dict.fromkeys(found)) if debian else ()


def mirror(url: str) -> tuple[str, ...]:
    """The one line for a mirror that the caller names."""
    return (f"deb {url} {SUITE} main",)
