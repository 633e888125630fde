"""Functions that child processes may run: those that a module of ours registered by name, and no others.

A child imports the modules that its parent's code names, so the same names mean the same functions on both sides; only
names and bytes go between them.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Generic, TypeAlias, TypeVar

from weftmesh.core.errors import InvalidInputError

TickFunction: TypeAlias = Callable[[bytes], Awaitable[bytes]]
HeavyFunction: TypeAlias = Callable[[bytes], bytes]
F = TypeVar("F", TickFunction, HeavyFunction)


class Registry(Generic[F]):
    """Functions by name.

    Args:
        kind: what they are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._functions: dict[str, F] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that makes a function of a module known by a name of its own."""

        def known(function: F) -> F:
            self._functions[name] = function
            return function

        return known

    def __getitem__(self, name: str) -> F:
        """The function of this name.

        Raises:
            InvalidInputError: nobody registered one.
        """
        function = self._functions.get(name)
        if function is None:
            registered = ", ".join(sorted(self._functions)) or "none"
            raise InvalidInputError(f"{self._kind} {name[:80]!r} is not registered; there are: {registered}")
        return function


TICKS: Final[Registry[TickFunction]] = Registry("tick")
"""What the critical lane runs."""
HEAVY: Final[Registry[HeavyFunction]] = Registry("heavy function")
"""What the pool runs."""


def load(modules: Iterable[str]) -> None:
    """Import modules, so that what they register is there."""
    for name in modules:
        importlib.import_module(name)
