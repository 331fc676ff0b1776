"""What goes wrong with a file, as an error of ours with a sentence that names the file."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from vmcontroller.channel import Hangup
from vmcontroller.errors import DiskFull, FileDenied, NoSuchFile, TransferFailed, VMControllerError
from vmcontroller.wire.chirp import BrokenChirp, ChirpError, Number

_REFUSALS: dict[Number, tuple[type[VMControllerError], str]] = {
    Number.DOESNT_EXIST: (NoSuchFile, "it, or a directory on the way to it, does not exist in the guest"),
    Number.NOT_AUTHORIZED: (FileDenied, "the guest refuses it; only what lies in its served directory can be reached"),
    Number.ALREADY_EXISTS: (TransferFailed, "it exists in the guest already"),
    Number.TOO_BIG: (TransferFailed, "it is larger than a file may be in the guest"),
    Number.NO_SPACE: (DiskFull, "the guest's disk has no room for it; make room there and try again"),
    Number.INVALID_REQUEST: (TransferFailed, "the guest takes it for invalid; a name must not hold a line break"),
    Number.TRY_AGAIN: (TransferFailed, "it arrived damaged and was thrown away; try again"),
    Number.IS_DIR: (TransferFailed, "it is a directory in the guest"),
    Number.NOT_DIR: (NoSuchFile, "a name on the way to it is no directory in the guest"),
    Number.IS_A_PIPE: (TransferFailed, "it is neither a file nor a directory in the guest"),
    Number.NAME_TOO_LONG: (TransferFailed, "its name is too long; choose a shorter one"),
}


@contextmanager
def about(name: object) -> Iterator[None]:
    """Turn whatever fails inside into an error of ours about the file or address ``name``."""
    try:
        yield
    except ChirpError as refused:
        kind, sentence = _REFUSALS.get(refused.number, (TransferFailed, f"the guest's file server says: {refused}"))
        raise kind(f"{name}: {sentence}") from None
    except (Hangup, BrokenChirp) as trouble:
        raise TransferFailed(f"{name}: {trouble}; what stood at its destination is untouched, try again") from None
    except EOFError:
        raise TransferFailed(f"{name}: it became shorter while it was sent; nothing was stored, try again") from None
    except OSError as error:
        raise _local(error, error.filename or name) from None


def _local(error: OSError, name: object) -> VMControllerError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{name}: the host's disk has no room for it; make room there and try again")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NoSuchFile(f"{name}: it, or a directory on the way to it, does not exist on the host")
    return TransferFailed(f"{name}: {error.strerror or error}")
