"""Decides whether a history of concurrent operations on one register could have happened one at a time.

The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memory of configurations that
Lowe added ("Testing for linearizability", 2017). Linearizability is compositional: check every key by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

CONFIGURATIONS_LIMIT = 2_000_000
"""Of one search, a few hundred bytes each; sound histories of tens of clients stay far below it."""

Kind = Literal["read", "write", "cas"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call as its client saw it.

    A write that is known to have changed nothing does not belong into a history.
    """

    process: str
    """Who called; for people only."""
    kind: Kind
    argument: Any
    """Of a write the new value, of a cas the pair (expected, new)."""
    result: Any
    """Of a read the value, of a cas whether it swapped."""
    invoked: float
    returned: float | None
    """None: the outcome is unknown, so it took effect at any time since, or never. Equal times count as concurrent."""


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains the history."""

    explained: int
    """Operations of known outcome that the longest order found could place."""
    total: int
    value: Any
    """What the register held then."""
    stuck: tuple[Operation, ...]
    """The operations of which one had to be next."""

    def __str__(self) -> str:
        stuck = "; ".join(str(operation) for operation in self.stuck)
        return f"{self.explained} of {self.total} operations explained; the value is {self.value!r}, next is: {stuck}"


class UndecidedError(Exception):
    """The search was larger than its limit."""


class _Configuration(NamedTuple):
    """A point of the search: what was placed, and the value that this leaves."""

    first: int
    """All known operations before this one are placed..."""
    later: int
    """... and those of them whose bit is set here, counted from `first`."""
    unknown: int
    """The operations of unknown outcome that took effect, a bit for each."""
    value: Hashable


def check(history: Sequence[Operation], initial: Hashable) -> Violation | None:
    """Search an order of the operations on one register that starts at `initial` and explains every result.

    Args:
        history: in any order; values must be hashable.
        initial: the value before the first operation.

    Raises:
        ValueError: an operation returned before it was invoked.
        UndecidedError: more than CONFIGURATIONS_LIMIT configurations.
    """
    for operation in history:
        if operation.returned is not None and operation.returned < operation.invoked:
            raise ValueError(f"returned before it was invoked: {operation}")
    return _Search(history).run(initial)


def check_keys(histories: Mapping[str, Sequence[Operation]], initial: Hashable) -> dict[str, Violation]:
    """Check each key by itself; returns the violations by key."""
    found = {key: check(history, initial) for key, history in sorted(histories.items())}
    return {key: violation for key, violation in found.items() if violation is not None}


class _Search:
    """Depth first, without recursion."""

    def __init__(self, history: Sequence[Operation]) -> None:
        ordered = sorted(history, key=lambda operation: operation.invoked)
        self._known = [operation for operation in ordered if operation.returned is not None]
        # a read that nobody got an answer from says nothing
        self._unknown = [operation for operation in ordered if operation.returned is None and operation.kind != "read"]

    def run(self, initial: Hashable) -> Violation | None:
        """The first dead end that is as deep as any, if there is no way through."""
        start = _Configuration(0, 0, 0, initial)
        seen, stack, deepest, depth = {start}, [start], start, -1
        while stack:
            configuration = stack.pop()
            placed = configuration.first + configuration.later.bit_count()
            if placed == len(self._known):
                return None
            if placed > depth:
                deepest, depth = configuration, placed
            new = [following for following in self._following(configuration) if following not in seen]
            seen.update(new)
            stack.extend(reversed(new))
            if len(seen) > CONFIGURATIONS_LIMIT:
                raise UndecidedError(f"no answer after {CONFIGURATIONS_LIMIT} configurations; record shorter histories")
        candidates, _ = self._candidates(deepest)
        return Violation(depth, len(self._known), deepest.value, tuple(self._known[at] for at in candidates))

    def _candidates(self, configuration: _Configuration) -> tuple[list[int], float]:
        """Which known operations may be next, and the time by which the next one has happened.

        An operation may be next unless another one that is not placed had returned before it was invoked.
        """
        known, horizon = self._known, float("inf")
        waiting: list[int] = []
        placed = configuration.later
        for at in range(configuration.first, len(known)):
            if known[at].invoked > horizon:
                break
            if not placed & 1:
                waiting.append(at)
                horizon = min(horizon, _returned(known[at]))
            placed >>= 1
        return [at for at in waiting if known[at].invoked <= horizon], horizon

    def _following(self, configuration: _Configuration) -> list[_Configuration]:
        """The configurations one operation on, the likeliest first."""
        candidates, horizon = self._candidates(configuration)
        value = configuration.value
        following: list[_Configuration] = []
        for at in candidates:
            operation = self._known[at]
            if not _explains(operation, value):
                continue
            after = _place(configuration, at, _value_after(operation, value))
            if operation.kind != "write" and after.value == value:
                return [after]  # it only looks: any order that has it later also works with it here
            following.append(after)
        following.extend(self._following_unknown(configuration, candidates, horizon))
        return following

    def _following_unknown(
        self, configuration: _Configuration, candidates: Sequence[int], horizon: float
    ) -> Iterator[_Configuration]:
        """Let an operation of unknown outcome take effect where another one would notice.

        Where nobody notices, the order without it is as good. Of several with the same effect any one will do, but a
        cas sooner than a write, which can be placed anywhere.
        """
        value = configuration.value
        available = [
            at
            for at, operation in enumerate(self._unknown)
            if operation.invoked <= horizon and not configuration.unknown >> at & 1
        ]
        available.sort(key=lambda at: self._unknown[at].kind == "write")
        observers = [_notices(self._known[at], value) for at in candidates]
        observers += [_notices(self._unknown[at], value) for at in available]
        tried: set[Hashable] = {value}
        for at in available:
            operation = self._unknown[at]
            if operation.kind == "cas" and operation.argument[0] != value:
                continue
            new = _value_after(operation, value)
            if new not in tried and any(notices(new) for notices in observers):
                tried.add(new)
                yield configuration._replace(unknown=configuration.unknown | 1 << at, value=new)


def _returned(operation: Operation) -> float:
    return float("inf") if operation.returned is None else operation.returned


def _explains(operation: Operation, value: Hashable) -> bool:
    """Whether the register at `value` gives an operation the result it has."""
    match operation.kind:
        case "read":
            return bool(operation.result == value)
        case "cas":
            return bool((operation.argument[0] == value) == operation.result)
        case _:
            return True


def _value_after(operation: Operation, value: Hashable) -> Hashable:
    """What a write leaves, and a cas that swaps; a known cas that did not swap leaves the value."""
    match operation.kind:
        case "write":
            return operation.argument  # type: ignore[no-any-return]
        case "cas" if operation.returned is None or operation.result:
            return operation.argument[1]  # type: ignore[no-any-return]
        case _:
            return value


def _notices(operation: Operation, before: Hashable) -> Callable[[Hashable], bool]:
    """Whether an operation becomes possible by a change of the register from `before` to a new value."""
    if operation.kind == "write":
        return lambda new: False
    if operation.returned is None:
        return lambda new: bool(operation.argument[0] == new)
    return lambda new: _explains(operation, new) and not _explains(operation, before)


def _place(configuration: _Configuration, at: int, value: Hashable) -> _Configuration:
    first, later = configuration.first, configuration.later | 1 << (at - configuration.first)
    while later & 1:
        first, later = first + 1, later >> 1
    return _Configuration(first, later, configuration.unknown, value)
