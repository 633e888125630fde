"""What nodes count and confirm. The first word of a node for a window holds; windows come in any order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from weftmesh.core.board.plans import quoted
from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.ola.replicated.commands import Confirm, RecordWindow
from weftmesh.core.ola.replicated.outcomes import Reason
from weftmesh.core.ola.replicated.plans import Change, Count, Plan, Refusal, Unchanged, invalid
from weftmesh.core.ola.replicated.rows import (
    DAY_S,
    LATE_S,
    SHOWN_S,
    WINDOW_S,
    Attendance,
    Confirmation,
    Limits,
    NodeWindow,
    ObjectiveCount,
)
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.ola.replicated.validate import check_confirmed, check_node, check_signature, check_start

_WINDOWS_OF_DAY: Final = DAY_S // WINDOW_S
_NO_WINDOWS: Final = bytes(_WINDOWS_OF_DAY // 8)


def plan_record_window(store: Store, command: RecordWindow) -> Plan:
    """Counts into history. Those of agreements or objectives that are not in force any more are left out."""
    check_node(command.node)
    check_start(command.starts_s)
    _check_counts(command.counts)
    _check_time(store, command)
    attendance = attendance_of(store, command.node, command.starts_s)
    if has(attendance.recorded, command.starts_s):
        return Unchanged(command.node)
    _check_nodes(store, command.node)
    counts = tuple(sorted(_known(store, command.counts), key=_place))
    attendance = Attendance(
        attendance.node, attendance.day_s, _with(attendance.recorded, command.starts_s), attendance.confirmed
    )
    newest_s = max(store.newest_s, command.starts_s)
    shown = (NodeWindow(command.node, command.starts_s, counts),) if is_shown(command.starts_s, newest_s) else ()
    return Change(command.node, (attendance, *shown), count=Count(command.starts_s, counts))


def plan_confirm(store: Store, command: Confirm) -> Plan:
    """A node's word for a window. Who reads it checks the signature: no machine holds certificates."""
    check_node(command.node)
    check_start(command.starts_s)
    check_signature(command.signature)
    check_confirmed(command.agreements)
    attendance = attendance_of(store, command.node, command.starts_s)
    if not has(attendance.recorded, command.starts_s):
        raise Refusal(
            Reason.WINDOW_NOT_RECORDED,
            f"{command.node} has not recorded the window from {command.starts_s}, or that is too long ago; record it "
            "first",
        )
    if has(attendance.confirmed, command.starts_s):
        return Unchanged(command.node)
    attendance = Attendance(
        attendance.node, attendance.day_s, attendance.recorded, _with(attendance.confirmed, command.starts_s)
    )
    row = Confirmation(command.node, command.starts_s, command.agreements, command.signature)
    shown = (row,) if is_shown(command.starts_s, store.newest_s) else ()
    return Change(command.node, (attendance, *shown))


def attendance_of(store: Store, node: str, starts_s: int) -> Attendance:
    """Of the day of a window; empty when nothing of it is here."""
    day_s = starts_s - starts_s % DAY_S
    return store.attendances.get((node, day_s)) or Attendance(node, day_s, _NO_WINDOWS, _NO_WINDOWS)


def has(windows: bytes, starts_s: int) -> bool:
    """Whether the bit of a window is set in those of its day."""
    place = starts_s % DAY_S // WINDOW_S
    return bool(windows[place // 8] >> place % 8 & 1)


def is_shown(starts_s: int, newest_s: int) -> bool:
    """Whether a node's own window is kept beside the sum of all."""
    return starts_s + SHOWN_S > newest_s


def _with(windows: bytes, starts_s: int) -> bytes:
    place = starts_s % DAY_S // WINDOW_S
    changed = bytearray(windows)
    changed[place // 8] |= 1 << place % 8
    return bytes(changed)


def _check_counts(counts: tuple[ObjectiveCount, ...]) -> None:
    if len(counts) > Limits.COUNTS:
        raise invalid(f"counts: has {len(counts)}, a window has at most {Limits.COUNTS}")
    if len({(one.name, one.objective) for one in counts}) < len(counts):
        raise invalid("counts: an objective occurs twice; send each once")
    for one in counts:
        if not 0 <= one.good <= one.total <= Limits.COUNT_MAX:
            raise invalid(
                f"counts: {quoted(one.good)} of {quoted(one.total)} for {quoted(one.name)} {quoted(one.objective)} "
                f"are no counts of 0 to {Limits.COUNT_MAX}"
            )


def _check_time(store: Store, command: RecordWindow) -> None:
    if command.starts_s + LATE_S < store.newest_s:
        raise Refusal(
            Reason.WINDOW_TOO_OLD,
            f"the window from {command.starts_s} is over {LATE_S} s older than the newest one, {store.newest_s}; it "
            "cannot be told from one that is counted already, and is left out",
        )
    now_s = stamp_to_ms(command.header.stamp) // 1_000
    if command.starts_s + WINDOW_S > now_s:
        raise Refusal(
            Reason.WINDOW_NOT_OVER,
            f"the window from {command.starts_s} ends after {now_s}, when it was sent; send it when it is over",
        )


def _check_nodes(store: Store, node: str) -> None:
    nodes = {one.node for one in store.attendances}
    if node not in nodes and len(nodes) >= Limits.NODES:
        raise Refusal(Reason.LIMIT_REACHED, f"{len(nodes)} nodes record windows already, at most {Limits.NODES} can")


def _known(store: Store, counts: Iterable[ObjectiveCount]) -> Iterable[ObjectiveCount]:
    for one in counts:
        if one.total and one.objective in store.objective_keys(one.name):
            yield one


def _place(one: ObjectiveCount) -> tuple[str, str]:
    return one.name, one.objective
