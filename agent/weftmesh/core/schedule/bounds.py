"""How long a job waits at most."""

from __future__ import annotations

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import Settings


def wait_max_s(settings: Settings, service_class: ServiceClass, jobs: int) -> float:
    """The longest wait for a turn while turns follow each other without a gap and nobody overruns a slice.

    A job that waited for its class's patience is served after at most `2 * jobs` further turns of its class, as every
    second one goes to the oldest. While a class has jobs waiting and gets k turns, start-time fair queueing gives each
    other class at most `weight / own weight * (k + 1) + 1` turns (its bound on fairness: Goyal, Vin,
    Cheng 1996). One more turn may be under way at the beginning.

    Args:
        settings: of the scheduler; weights that did not change in the meantime.
        service_class: in which the job waits all the time.
        jobs: how many there are in this class at once, with itself.
    """
    turns = 2 * jobs
    others = [one for one in ServiceClass if one is not service_class]
    own = settings.weights[service_class]
    of_others = sum(settings.weights[one] / own * (turns + 1) + 1 for one in others)
    return settings.patience_s[service_class] + settings.slice_s * (turns + of_others + 1)
