"""Threads for questions that the system may never answer: a process ends without waiting for them.

The standard library joins the threads of its executors when the interpreter ends, so that one call into a directory or
a resolver that hangs keeps a process from ending that has done everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeAlias, TypeVar

from weftmesh.runtime.worker_threads import no_more_threads

P = ParamSpec("P")
T = TypeVar("T")
_Work: TypeAlias = "tuple[Future[Any], Callable[[], Any]] | None"


class DaemonThreads(Executor):
    """An executor for what changes nothing: it may be broken off at any point when the process ends.

    Args:
        count: of threads; all are started at once.
        name: what their names begin with.

    Raises:
        PreconditionError: this process may not have so many.
    """

    def __init__(self, count: int, name: str) -> None:
        self._work: SimpleQueue[_Work] = SimpleQueue()
        self._lock = Lock()
        self._is_ended = False
        self._threads: list[Thread] = []
        try:
            for number in range(count):
                thread = Thread(target=_serve, args=(self._work,), name=f"{name}_{number}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError as error:
            self.shutdown(wait=False)
            raise no_more_threads(count, name, error) from error

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See Executor."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_ended:
                raise RuntimeError("these threads are shut down")
            self._work.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See Executor."""
        with self._lock:
            if not self._is_ended:
                self._is_ended = True
                if cancel_futures:
                    self._cancel()
                for _ in self._threads:
                    self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _cancel(self) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                return
            if work is not None:
                work[0].cancel()


def _serve(queue: SimpleQueue[_Work]) -> None:
    while (work := queue.get()) is not None:
        future, question = work
        if future.set_running_or_notify_cancel():
            try:
                answer = question()
            except BaseException as error:  # noqa: BLE001, whoever asked is told
                future.set_exception(error)
            else:
                future.set_result(answer)
                del answer
        del work, future, question  # what was asked is not kept while nobody asks
