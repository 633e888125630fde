"""TCP: is the port open, and how long does a connection take?"""

from __future__ import annotations

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Probe
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.answers import Answer, in_time, refused, silent
from weftmesh.router.probing.arrival import heard_within
from weftmesh.router.probing.dialling import dialled, why
from weftmesh.router.probing.names import Names


class TcpProber:
    """Connects and closes; the latency is one round trip.

    Args:
        names: looks addresses up; one of its own when None.
    """

    def __init__(self, names: Names | None = None) -> None:
        self._names = names or Names()

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        """See Prober."""
        try:
            async with heard_within(probe.timeout_ms / 1e3), dialled(endpoint.address, self._names) as (_, took_s):
                return in_time(Answer(ok=True, latency_us=int(took_s * 1e6)), probe.timeout_ms)
        except TimeoutError:
            return silent(probe.timeout_ms)
        except OSError as error:
            return refused(f"{endpoint.address}: {why(error)}")
        except InvalidInputError as error:
            return refused(str(error))

    async def close(self) -> None:
        """Nothing stays open."""
