"""Flower's simulation engine in this process: its link state, its grid, its workers, and threads in the place of ray.

What is used here is not public in Flower; the series of releases is pinned, see weftmesh.runtime.flower.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from flwr.common.constant import HEARTBEAT_INTERVAL_INF, NOOP_ACCOUNT_NAME, NOOP_FLWR_AID
from flwr.compat.client.run_info_store import DeprecatedRunInfoStore
from flwr.proto.task_pb2 import Task
from flwr.server.superlink.fleet.vce.backend import Backend
from flwr.server.superlink.fleet.vce.metrics import VceMetrics
from flwr.server.superlink.fleet.vce.vce_api import run_api
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkStateFactory
from flwr.server.superlink.linkstate.in_memory_linkstate import RunRecord
from flwr.serverapp import ServerApp
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME, NOOP_FEDERATION_ID
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.grid import InMemoryGrid

from weftmesh.runtime.flower import COORDINATOR_NODE_ID, RUN_ID, ClientApp, Context, Message, RecordDict, new_run

Config = Mapping[str, bool | float | int | str]


class ThreadBackend(Backend):
    """Calls the client app on the engine's own threads."""

    def __init__(self, workers: int) -> None:
        super().__init__({})
        self._workers = workers
        self._app = ClientApp()

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        self._app = app_fn()

    @property
    def num_workers(self) -> int:
        return self._workers

    def is_worker_idle(self) -> bool:
        return True

    def terminate(self) -> None:
        return None

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        return self._app(message, context), context


def run_in_process(
    server: ServerApp, client: ClientApp, node_configs: Sequence[Config], run_config: Config
) -> list[int]:
    """Run both apps to the end of the server app.

    Args:
        server: what is run on this thread.
        client: what the nodes answer with.
        node_configs: one for each node.
        run_config: of the server app.

    Returns:
        The numbers that the engine gave the nodes.
    """
    factory = LinkStateFactory(FLWR_IN_MEMORY_DB_NAME, NoOpFederationManager(), ObjectStoreFactory())
    state = cast(InMemoryLinkState, factory.state())
    run = replace(new_run(), primary_task_id=RUN_ID, federation_id=NOOP_FEDERATION_ID)
    state.run_ids[RUN_ID] = RunRecord(run=run)
    state.task_store[RUN_ID] = Task(task_id=RUN_ID, run_id=RUN_ID)
    stores = {}
    for config in node_configs:
        number = state.create_node(
            NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, secrets.token_bytes(32), heartbeat_interval=HEARTBEAT_INTERVAL_INF
        )
        state.acknowledge_node_heartbeat(number, HEARTBEAT_INTERVAL_INF)
        stores[number] = DeprecatedRunInfoStore(number, dict(config))
        stores[number].register_context(RUN_ID)
    grid = InMemoryGrid(factory)
    grid.set_run(run)
    stop = threading.Event()
    order = {number: place for place, number in enumerate(stores)}
    workers = threading.Thread(
        target=run_api,
        args=(lambda: client, lambda: ThreadBackend(len(stores)), order, factory, stores, stop, VceMetrics()),
    )
    workers.start()
    try:
        server(grid, Context(RUN_ID, COORDINATOR_NODE_ID, {}, RecordDict(), dict(run_config)))
    finally:
        stop.set()
        workers.join()
    return list(stores)
