"""Every error that a caller can meet, each with its own XML-RPC fault code.

An error's text is one sentence or two: what is wrong, and what to do next.
The codes never change once released; docs/reference/errors.md is made from this file.
"""

from __future__ import annotations


class VMControllerError(Exception):
    """Anything that went wrong and can be told in a sentence."""

    code = 1


class BadRequest(VMControllerError):
    """An argument has the wrong type, form or range; the text names it."""

    code = 100


class BadName(BadRequest):
    """No VM, group or snapshot can be called so; the text says which characters a name may have."""

    code = 101


class BadSize(BadRequest):
    """No VM can have so many processors, or so much or little memory."""

    code = 102


class UnknownVM(VMControllerError):
    """No VM has this id or name."""

    code = 200


class VMExists(VMControllerError):
    """A VM with this name or id exists already."""

    code = 201


class BadState(VMControllerError):
    """The VM's state does not allow this."""

    code = 202


class GuestSilent(VMControllerError):
    """The VM's agent has not said HELLO, or has gone silent."""

    code = 203


class PingTimeout(VMControllerError):
    """No PONG came within the time that the caller gave."""

    code = 204


class NobodyMatches(VMControllerError):
    """The pattern matches no VM that could take the command."""

    code = 205


class NetworkDenied(VMControllerError):
    """The VM asks for a network, and this computer's owner allows none to VMs."""

    code = 206


class UnknownCommand(VMControllerError):
    """No command has this id."""

    code = 300


class CommandConflict(VMControllerError):
    """The caller chose a cmdId that stands for another command already."""

    code = 301


class CommandEnded(VMControllerError):
    """The command has ended and takes neither input nor signals."""

    code = 302


class NotInAudience(VMControllerError):
    """The command was not sent to this VM."""

    code = 303


class TransferFailed(VMControllerError):
    """A file could not be moved; what stood at its destination is untouched."""

    code = 400


class NoSuchFile(TransferFailed):
    """The file to be moved, or a directory on the way to it, does not exist."""

    code = 401


class FileDenied(TransferFailed):
    """The path leaves the served directory, or the key is not the right one."""

    code = 402


class UnknownTransfer(VMControllerError):
    """No transfer has this id."""

    code = 404


class Unsupported(VMControllerError):
    """The hypervisor in use cannot do this."""

    code = 500


class HypervisorFailed(VMControllerError):
    """The hypervisor refused or broke; the text holds its own words."""

    code = 501


class UnknownHypervisor(VMControllerError):
    """No plugin has this name."""

    code = 502


class HypervisorMissing(VMControllerError):
    """The plugin is there, but what it drives is not installed."""

    code = 503


class BrokenPlugin(VMControllerError):
    """The plugin does not have the shape that IHypervisor asks for."""

    code = 504


class BadImage(VMControllerError):
    """The image is not what a VM can be made from."""

    code = 505


class NoSuchImage(BadImage):
    """No image has this name, and no file of it is there."""

    code = 506


class ImageDenied(BadImage):
    """The image leads to files outside of its own directory, or is a device or a directory."""

    code = 507


class ImageDamaged(BadImage):
    """The image is truncated, inconsistent, or not the one that its manifest tells of."""

    code = 508


class ImageInUse(VMControllerError):
    """VMs are made from this image; it cannot be removed."""

    code = 509


class BuildFailed(VMControllerError):
    """An image could not be built; the text says at which step, and why."""

    code = 510


class MemoryShort(VMControllerError):
    """The host has not as much memory left as the VM needs."""

    code = 511


class NetworkRefused(VMControllerError):
    """The VM asks for a network that the hypervisor cannot give without opening the host to it."""

    code = 512


class EmulationRefused(VMControllerError):
    """The VM must not be emulated, and the hypervisor has no acceleration here."""

    code = 513


class UnknownSnapshot(VMControllerError):
    """The VM has no snapshot of this name."""

    code = 600


class SnapshotExists(VMControllerError):
    """The VM has a snapshot of this name already."""

    code = 601


class SnapshotDamaged(VMControllerError):
    """A snapshot or saved state is cut, changed, or does not fit this machine; an older one may."""

    code = 602


class UnknownLease(VMControllerError):
    """No lease has this id; it may have run out."""

    code = 700


class AlreadyRunning(VMControllerError):
    """A daemon owns this state directory already."""

    code = 900


class NotRunning(VMControllerError):
    """No daemon answers for this state directory."""

    code = 901


class StateDirectoryUnusable(VMControllerError):
    """The state directory cannot be made, written or locked."""

    code = 902


class PortTaken(VMControllerError):
    """Another program listens on the port that was asked for."""

    code = 903


class DiskFull(VMControllerError):
    """No room is left where something had to be written."""

    code = 904


class BadConfiguration(VMControllerError):
    """A setting is unknown or has a value it cannot have; the text names file and key."""

    code = 905


class BrokerFailed(VMControllerError):
    """The STOMP broker cannot be reached, or refused the daemon."""

    code = 906
