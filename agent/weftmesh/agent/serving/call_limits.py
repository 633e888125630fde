"""How much one caller may ask of a node, so that the others are served: calls a second, and calls at once.

What peers say to each other in the log's own streams is never counted here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weftmesh.agent.serving.caller_keys import CallerKey, CallerKeys
from weftmesh.core.errors import OverloadedError
from weftmesh.core.rate import Buckets, Rate
from weftmesh.runtime.config import LimitsConfig
from weftmesh.runtime.doors.doorkeeper import Connections
from weftmesh.runtime.doors.holdings import CALL, WATCHER, WRITE_STREAM, Held, Holdings, too_often, uncounted
from weftmesh.runtime.doors.refusals import Refusals
from weftmesh.runtime.rpc_gate import Context, Ticket

BURST_S: Final = 4.0
"""After a rest a local caller may do as much at once as its rate allows in this time."""
MEMBER_BURST_S: Final = 1.0
"""And a member: its calls stand in line before those of others, at 0.4 ms each."""
READING: Final = (
    *("Await", "Check", "DryRun", "Explain", "Fetch", "Forecast", "Get", "List", "ServerReflection"),
    *("Show", "Verify", "Watch", "WhoAmI"),
)
"""How the names of methods begin that change nothing; all others count as writes."""
PEER_SERVICE: Final = "/weftmesh.mesh.v1.RaftService/"
WATCH: Final = "/weftmesh.board.v1.BoardService/Watch"
WRITE: Final = "/weftmesh.board.v1.BoardService/Write"
SECTION: Final = "limits"
"""Of the configuration."""


class CallLimits:
    """The gate of a node's servers; implements `rpc_gate.Gate`.

    Args:
        limits: the settings; see `follow`.
        keys: tell callers apart.
        connections: is told who proved itself, and who misuses his connection.
        refusals: counts.
        clock: monotonic seconds.

    Attributes:
        on_refusal: called with the method, the call and the error of each call, or write of a stream, too many.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        keys: CallerKeys,
        connections: Connections,
        refusals: Refusals,
        clock: Callable[[], float],
    ) -> None:
        self.on_refusal: Callable[[str, Context, OverloadedError], None] = _unheard
        self._keys = keys
        self._connections = connections
        self._refusals = refusals
        self._clock = clock
        self._writes, self._reads, self._members = (Buckets(rate) for rate in _rates(limits))
        self._holdings = Holdings(_most(limits))

    def follow(self, limits: LimitsConfig) -> None:
        """Take over changed settings, from the next call on."""
        self._writes.rate, self._reads.rate, self._members.rate = _rates(limits)
        self._holdings.most = _most(limits)

    def enter(self, method: str, context: Context) -> Ticket:
        """See rpc_gate.Gate.

        Raises:
            OverloadedError: the caller asks too much.
        """
        caller = self._keys.of(context)
        if caller is None:
            return uncounted()
        if caller.node:
            self._connections.proven(context.peer())
        if method.startswith(PEER_SERVICE):
            self._connections.strike(context.peer())
            return uncounted()
        try:
            self._take(caller, method)
            return self._holdings.take(caller, _held_by(method))
        except OverloadedError as error:
            self._refusals.count(error.reason, str(caller))
            self._connections.strike(context.peer())
            self.on_refusal(method, context, error)
            raise

    def bloated(self, context: Context) -> None:
        """See rpc_gate.Gate: no client of ours sends such headers, so the connection goes with the call."""
        peer = context.peer()  # who it is takes longer to find out than the call shall cost
        self._refusals.count("HEADERS_TOO_LARGE", peer)
        self._connections.misused(peer)

    def stream_writes(self, context: Context) -> Callable[[], None]:
        """What counts each write of a stream; it raises OverloadedError for a write too many."""
        caller = self._keys.of(context)

        def take() -> None:
            if caller is not None and (wait_s := self._writes.take(caller, self._clock())):
                self._refusals.count("RATE_LIMITED", str(caller))
                error = too_often(caller, "writes", self._writes.rate, wait_s, SECTION)
                self.on_refusal(WRITE, context, error)
                raise error

        return take

    def _take(self, caller: CallerKey, method: str) -> None:
        now_s = self._clock()
        if caller.node:
            if wait_s := self._members.take(caller, now_s):
                raise too_often(caller, "calls", self._members.rate, wait_s, SECTION)
            return
        is_reading = method.rpartition("/")[2].startswith(READING)
        buckets, noun = (self._reads, "reads") if is_reading else (self._writes, "writes")
        if wait_s := buckets.take(caller, now_s):
            raise too_often(caller, noun, buckets.rate, wait_s, SECTION)


def _unheard(_method: str, _context: Context, _error: OverloadedError) -> None:
    """Nobody has asked to be told."""


def _held_by(method: str) -> tuple[Held, ...]:
    if method == WATCH:
        return CALL, WATCHER
    return (CALL, WRITE_STREAM) if method == WRITE else (CALL,)


def _rates(limits: LimitsConfig) -> tuple[Rate, Rate, Rate]:
    """Of a local caller's writes and reads, and of a member's calls; a member's streamed writes are writes."""
    rates = (
        (limits.writes_per_s, BURST_S),
        (limits.reads_per_s, BURST_S),
        (limits.member_calls_per_s, MEMBER_BURST_S),
    )
    writes, reads, members = (Rate(per_s, max(1.0, per_s * burst_s)) for per_s, burst_s in rates)
    return writes, reads, members


def _most(limits: LimitsConfig) -> dict[Held, int]:
    return {
        CALL: limits.calls_per_caller,
        WATCHER: limits.watchers_per_caller,
        WRITE_STREAM: limits.write_streams_per_caller,
    }
