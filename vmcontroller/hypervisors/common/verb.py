"""What every verb of a machine has in common: one at a time, only in some states, errors as sentences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from vmcontroller.errors import BadState, UnknownVM
from vmcontroller.hypervisors.common import files
from vmcontroller.hypervisors.common.record import Record
from vmcontroller.machine import MachineState


class Subject(Protocol):
    """What a verb needs of the machine that it is said to."""

    lock: DeferredLock
    meanwhile: MachineState | None
    removed: bool

    @property
    def record(self) -> Record: ...


P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Subject)
Body = Callable[Concatenate[M, P], Coroutine[Any, Any, R]]
Verb = Callable[Concatenate[M, P], Deferred[R]]


def verb(
    when: Collection[MachineState] = tuple(MachineState), meanwhile: MachineState | None = None
) -> Callable[[Body[M, P, R]], Verb[M, P, R]]:
    """Make a coroutine a verb: it waits for its turn, and the machine shows the state ``meanwhile`` then.

    BadState unless the machine is in one of the states ``when``; UnknownVM when it was removed before its turn.
    """

    def decorate(body: Body[M, P, R]) -> Verb[M, P, R]:
        def turn(machine: M, /, *args: P.args, **kwargs: P.kwargs) -> Deferred[R]:
            return machine.lock.run(lambda: Deferred.fromCoroutine(guarded(machine, *args, **kwargs)))

        async def guarded(machine: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
            _demand(machine, when, body.__name__)
            machine.meanwhile = meanwhile
            try:
                return await body(machine, *args, **kwargs)
            except OSError as error:
                raise files.explain(error) from error
            finally:
                machine.meanwhile = None

        update_wrapper(turn, body)
        return turn

    return decorate


def _demand(machine: Subject, when: Collection[MachineState], name: str) -> None:
    record = machine.record
    if machine.removed:
        raise UnknownVM(f"the VM {record.name!r} was removed; create it again")
    if record.state not in when:
        states = " or ".join(when)
        raise BadState(f"{name}: the VM {record.name!r} is {record.state}; this can be done when it is {states}")
