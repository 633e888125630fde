"""ForecastTask: what a task will take and when it will be done, for whoever may read the task."""

from __future__ import annotations

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.learning.effort_forecasts import EffortForecasts
from weftmesh.agent.learning.finish_forecasts import FinishForecasts
from weftmesh.core.errors import NotFoundError
from weftmesh.core.ids import parse_task_name, task_name
from weftmesh.learning.v1 import learning_pb2


class Forecasts:
    """Forecasts tasks of the boards that this node holds."""

    def __init__(self, homes: Homes, effort: EffortForecasts, finish: FinishForecasts) -> None:
        self._homes = homes
        self._effort = effort
        self._finish = finish

    async def forecast(self, request: learning_pb2.ForecastTaskRequest) -> learning_pb2.TaskForecast:
        """The forecast of one task, and in its notes what is missing of it.

        Raises:
            InvalidInputError: the name is no task's.
            NotFoundError: there is no such task.
            PreconditionError: its tasks live on another node, and only that one forecasts them.
            OverloadedError: too many wait.
        """
        ref = parse_task_name(request.name)
        home = self._homes.of_project(ref.project_id)
        task = home.find_task(ref)
        if task is None:
            raise NotFoundError(f"there is no task {request.name.rpartition('/')[2]}; see `weftmesh task ls`")
        notes: list[str] = []
        view = learning_pb2.TaskForecast(name=task_name(task.project_id, task.id), key=task.key)
        effort = await self._effort.forecast(home, task, notes)
        if effort is not None:
            view.effort.CopyFrom(effort)
        finish = await self._finish.forecast(home, task, notes)
        if finish is not None:
            view.finish.CopyFrom(finish)
        view.notes.extend(notes)
        return view
