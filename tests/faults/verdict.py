"""After a round: does what the nodes have agree with what the clients were told?"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from examples.demo import agreed_states
from tests.checkers.linearizability import check_keys
from tests.faults.load import Load
from tests.faults.record import Record
from tests.faults.watches import Sightings

from weftmesh.board.v1 import board_pb2
from weftmesh.client import Client

WATCHERS_CATCH_UP_S = 20.0
PAGE_SIZE = 1_000
SHOWN_MAX = 5
"""Of one kind of violation, in its message."""


@dataclass
class Verdict:
    """Of one round; `violations` is empty when every promise was kept."""

    acknowledged: int = 0
    lost: int = 0
    reads: int = 0
    not_linearizable: int = 0
    events: int = 0
    gaps: int = 0
    duplicates: int = 0
    folded: int = 0
    resyncs: int = 0
    violations: list[str] = field(default_factory=list)


async def judge(load: Load, watchers: Sequence[Sightings]) -> Verdict:
    """Hold the round's record against every node. The load has ended, and every node is up and reachable."""
    verdict = Verdict()
    verdict.violations += await load.ask_again()
    verdict.violations += [f"{count} x {what}" for what, count in load.record.unexpected.items()]
    for node, client in load.clients.items():
        for register in load.registers:
            if await load.read(f"{node}/last", client, register) is None:
                verdict.violations.append(f"{node} does not answer a linearizable read of {register} after the fault")
    try:
        await agreed_states(list(load.clients.values()))
    except SystemExit as differ:
        verdict.violations.append(str(differ))
    for node, client in load.clients.items():
        await _judge_node(node, client, load, verdict)
    _judge_histories(load.record, verdict)
    await _judge_watchers(load, watchers, verdict)
    verdict.acknowledged = len(load.record.acknowledged)
    verdict.reads = load.record.reads
    return verdict


async def _judge_node(node: str, client: Client, load: Load, verdict: Verdict) -> None:
    """Every acknowledged write is in this node's history once; what was made once is there once."""
    stored: Counter[str] = Counter()
    for register in load.registers:
        changes = await _changes(client, register)
        stored.update(change.request_id for change in changes)
        verdict.violations += _out_of_order(node, register, changes, load.record.conditional)
    titles: Counter[str] = Counter()
    names = set()
    async for task in client.list_tasks(load.project):
        titles[task.title] += 1
        names.add(task.name)
    registers = set(load.registers)
    acknowledged = load.record.acknowledged
    lost = [
        request_id
        for request_id, name in acknowledged.items()
        if (name in registers and not stored[request_id]) or name not in names
    ]
    twice = [request_id for request_id, count in stored.items() if count > 1]
    twice += [title for title, count in titles.items() if count > 1]
    if lost:
        verdict.lost += len(lost)
        verdict.violations.append(f"{node} lacks {len(lost)} acknowledged writes: {lost[:SHOWN_MAX]}")
    if twice:
        verdict.violations.append(f"{node} applied {len(twice)} writes twice: {twice[:SHOWN_MAX]}")


async def _changes(client: Client, name: str) -> list[board_pb2.Change]:
    request = board_pb2.ListTaskHistoryRequest(name=name, page_size=PAGE_SIZE)
    changes: list[board_pb2.Change] = []
    while True:
        page = await client.board.list_task_history(request)
        changes.extend(page.changes)
        if not page.next_page_token:
            return changes
        request.page_token = page.next_page_token


def _out_of_order(node: str, name: str, changes: Sequence[board_pb2.Change], conditional: set[str]) -> list[str]:
    """Whoever wrote against a version had seen it: the time of the change must not be before that version's."""
    found = []
    for before, after in itertools.pairwise(changes):
        if after.request_id in conditional and after.time.ToNanoseconds() < before.time.ToNanoseconds():
            times = f"{after.time.ToJsonString()} < {before.time.ToJsonString()}"
            found.append(f"{node}: version {after.version} of {name} is older than the one it was made from: {times}")
    return found[:SHOWN_MAX]


def _judge_histories(record: Record, verdict: Verdict) -> None:
    for name, violation in check_keys(record.histories, 0.0).items():
        verdict.not_linearizable += 1
        verdict.violations.append(f"{name} is not linearizable: {violation}")


async def _judge_watchers(load: Load, watchers: Sequence[Sightings], verdict: Verdict) -> None:
    revision = (await next(iter(load.clients.values())).mesh.get_status()).revision
    await _caught_up(watchers, revision)
    for seen in watchers:
        verdict.events += len(seen.request_ids)
        verdict.gaps += seen.gaps
        verdict.duplicates += seen.duplicates
        verdict.folded += seen.folded
        verdict.resyncs += seen.resyncs
        if seen.ended:
            verdict.violations.append(f"the watcher {seen.name} was sent away: {seen.ended}")
        if seen.revision != revision:
            verdict.violations.append(f"the watcher {seen.name} stands at {seen.revision}, the board at {revision}")
        if seen.gaps or seen.duplicates:
            verdict.violations.append(
                f"the watcher {seen.name} missed {seen.gaps} revisions and saw {seen.duplicates} twice"
            )
        if not seen.folded and not seen.resyncs:
            verdict.violations += _unseen(seen, load.record.acknowledged)


async def _caught_up(watchers: Sequence[Sightings], revision: int) -> None:
    for seen in watchers:
        if not seen.ended:
            await seen.reached(revision, WATCHERS_CATCH_UP_S)


def _unseen(seen: Sightings, acknowledged: Mapping[str, str]) -> list[str]:
    counts = Counter(seen.request_ids)
    wrong = [request_id for request_id in acknowledged if counts[request_id] != 1]
    if not wrong:
        return []
    shown = {request_id: counts[request_id] for request_id in wrong[:SHOWN_MAX]}
    return [f"the watcher {seen.name} saw {len(wrong)} acknowledged writes not once: {shown}"]
