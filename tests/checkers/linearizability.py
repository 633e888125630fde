"""Decides whether a history of concurrent operations on one register could have happened one at a time.

The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memory of configurations that
Lowe added ("Testing for linearizability", 2017). Linearizability is compositional: check every key by itself.

Two things keep the search small where many outcomes are unknown. Values that no result tells from others count as one
value, and what then has no effect is left out. And a step is not taken if it leaves a result unexplained for good: the
value is wanted later and nothing can bring it back. It works best when each write has a value of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

CONFIGURATIONS_LIMIT = 2_000_000
"""Of one search, a few hundred bytes each; sound histories of tens of clients stay far below it."""
EXPLAINING_LIMIT = 3_000
"""Of the search for what to tell of a history that nothing explains."""

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


class _Unseen:
    """Stands for every value that no result tells from others."""

    def __repr__(self) -> str:
        return "a value that nobody saw"


_UNSEEN = _Unseen()


class _Configuration(NamedTuple):
    """A point of the search: what was placed, and the value that this leaves."""

    first: int
    """All known operations before this one are placed..."""
    later: int
    """... and those of them whose bit is set here, counted from `first`."""
    unknown: int
    """The operations of unknown outcome that took effect, a bit for each."""
    value: Hashable


def check(history: Sequence[Operation], initial: Hashable, *, limit: int = CONFIGURATIONS_LIMIT) -> Violation | None:
    """Search an order of the operations on one register that starts at `initial` and explains every result.

    Args:
        history: in any order; values must be hashable.
        initial: the value before the first operation.
        limit: configurations that are tried.

    Raises:
        ValueError: an operation returned before it was invoked.
        UndecidedError: more than `limit` configurations.
    """
    for operation in history:
        if operation.returned is not None and operation.returned < operation.invoked:
            raise ValueError(f"returned before it was invoked: {operation}")
    return _Search(history).run(initial, limit)


def check_keys(
    histories: Mapping[str, Sequence[Operation]], initial: Hashable, *, limit: int = CONFIGURATIONS_LIMIT
) -> dict[str, Violation]:
    """Check each key by itself, as `check` does; returns the violations by key."""
    found = {key: check(history, initial, limit=limit) for key, history in sorted(histories.items())}
    return {key: violation for key, violation in found.items() if violation is not None}


class _Search:
    """Depth first, without recursion."""

    def __init__(self, history: Sequence[Operation]) -> None:
        ordered = sorted(history, key=lambda operation: operation.invoked)
        self._told = [operation for operation in ordered if operation.returned is not None]
        self._known, self._unknown, self._seen = _simplify(ordered)
        self._looks_ahead = True
        self._wanted_by: dict[Hashable, list[int]] = defaultdict(list)
        """Value to the known operations that need it, the earliest call first..."""
        self._made_by: dict[Hashable, list[int]] = defaultdict(list)
        """... to those that may leave it..."""
        self._made_by_unknown: dict[Hashable, int] = defaultdict(int)
        """... and to those of unknown outcome that may, a bit for each."""
        for at, operation in enumerate(self._known):
            if operation.kind == "read":
                self._wanted_by[operation.result].append(at)
            elif operation.kind == "cas" and operation.result:
                self._wanted_by[operation.argument[0]].append(at)
            if operation.kind != "read":
                self._made_by[_written(operation)].append(at)
        for at, operation in enumerate(self._unknown):
            self._made_by_unknown[_written(operation)] |= 1 << at

    def run(self, initial: Hashable, limit: int) -> Violation | None:
        """The first dead end that is as deep as any, if there is no way through."""
        start = _Configuration(0, 0, 0, initial if initial in self._seen else _UNSEEN)
        deepest = self._search(start, limit)
        if deepest is None:
            return None
        # for people: how far it goes without looking ahead
        self._looks_ahead = False
        deepest = self._search(start, EXPLAINING_LIMIT) or deepest
        stuck = tuple(self._told[at] for at in self._candidates(deepest)[0])
        return Violation(_placed(deepest), len(self._known), deepest.value, stuck)

    def _search(self, start: _Configuration, limit: int) -> _Configuration | None:
        """None if there is a way through, otherwise the first dead end that is as deep as any.

        Raises:
            UndecidedError: no answer within `limit` configurations, while it looks ahead.
        """
        seen, stack, deepest = {start}, [start], start
        while stack:
            configuration = stack.pop()
            if _placed(configuration) == len(self._known):
                return None
            if _placed(configuration) > _placed(deepest):
                deepest = configuration
            new = [following for following in self._following(configuration) if following not in seen]
            seen.update(new)
            stack.extend(reversed(new))
            if len(seen) > limit:
                if self._looks_ahead:
                    raise UndecidedError(f"no answer after {limit} configurations; record shorter histories")
                break
        return deepest

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
        if not self._looks_ahead:
            return following
        return [after for after in following if after.value == value or not self._is_hopeless(after, value)]

    def _is_hopeless(self, configuration: _Configuration, former: Hashable) -> bool:
        """Whether a result cannot be explained any more, now that the value is not `former`."""
        if self._last_wanted(configuration, former) is not None:
            return True
        value = configuration.value
        until = self._last_wanted(configuration, value)
        return until is not None and self._changes_before(configuration, value, until)

    def _last_wanted(self, configuration: _Configuration, value: Hashable) -> float | None:
        """When the last operation is invoked that needs a value which nothing will leave again; None: no such need."""
        waiting = [at for at in self._wanted_by.get(value, ()) if not _is_placed(configuration, at)]
        if not waiting or self._made_by_unknown.get(value, 0) & ~configuration.unknown:
            return None
        if not all(_is_placed(configuration, at) for at in self._made_by.get(value, ())):
            return None
        return self._known[waiting[-1]].invoked

    def _changes_before(self, configuration: _Configuration, value: Hashable, until: float) -> bool:
        """Whether something that needs or leaves another value has to be placed before `until`."""
        for at in range(configuration.first, len(self._known)):
            operation = self._known[at]
            if operation.invoked >= until:
                return False
            stays = _explains(operation, value) and _value_after(operation, value) == value
            if not stays and _returned(operation) < until and not _is_placed(configuration, at):
                return True
        return False

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


def _simplify(ordered: Sequence[Operation]) -> tuple[list[Operation], list[Operation], set[Hashable]]:
    """Make one value of all that no result tells apart, and leave out what then cannot matter.

    Returns:
        The operations of known outcome, those of unknown outcome, and the values that stay what they are.
    """
    known = [operation for operation in ordered if operation.returned is not None]
    # a read that nobody got an answer from says nothing
    unknown = [operation for operation in ordered if operation.returned is None and operation.kind != "read"]
    refused = {operation.argument[0] for operation in known if operation.kind == "cas" and not operation.result}
    seen: set[Hashable] = {operation.result for operation in known if operation.kind == "read"}
    seen |= {operation.argument[0] for operation in known if operation.kind == "cas"}
    swaps = [operation.argument for operation in unknown if operation.kind == "cas"]
    while needed := {expected for expected, new in swaps if new in seen} - seen:
        seen |= needed

    def matters(operation: Operation) -> bool:
        """A value that nobody sees explains only why a cas found another value than it expected."""
        if _written(operation) in seen:
            return True
        return bool(refused) if operation.kind == "write" else operation.argument[0] in refused

    useful = [operation for operation in unknown if matters(operation)]
    return [_blurred(operation, seen) for operation in known], [_blurred(operation, seen) for operation in useful], seen


def _blurred(operation: Operation, seen: set[Hashable]) -> Operation:
    """The same, but for a value that nobody sees."""
    if operation.kind == "read" or _written(operation) in seen:
        return operation
    return replace(operation, argument=_UNSEEN if operation.kind == "write" else (operation.argument[0], _UNSEEN))


def _written(operation: Operation) -> Hashable:
    """What a write leaves, or a cas if it swaps."""
    return operation.argument if operation.kind == "write" else operation.argument[1]  # type: ignore[no-any-return]


def _placed(configuration: _Configuration) -> int:
    """How many known operations are."""
    return configuration.first + configuration.later.bit_count()


def _is_placed(configuration: _Configuration, at: int) -> bool:
    return at < configuration.first or bool(configuration.later >> (at - configuration.first) & 1)


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
    looks = operation.kind == "read" or (operation.returned is not None and operation.result is False)
    return value if looks else _written(operation)


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
