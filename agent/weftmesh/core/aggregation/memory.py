"""What a contributor must remember beyond its process: base versions that were unmasked, and the last term."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason

JOBS_MAX: Final = 1_024
VERSIONS_MAX: Final = 256
"""Of one job; with more, the oldest ones become the floor below which everything counts as answered."""


@dataclass(frozen=True, slots=True)
class AnsweredVersions:
    """The base versions of one job that were answered: all up to `floor`, and `above` it the listed ones, sorted."""

    job: str
    floor: int = -1
    above: tuple[int, ...] = ()

    def __contains__(self, base_version: int) -> bool:
        return base_version <= self.floor or base_version in self.above

    def adding(self, base_version: int) -> AnsweredVersions:
        """The same with one more."""
        above = sorted({*self.above, base_version})
        if len(above) <= VERSIONS_MAX:
            return replace(self, above=tuple(above))
        return replace(self, floor=above[0], above=tuple(above[1:]))


@dataclass(frozen=True, slots=True)
class ContributorMemory:
    """Keep it on the node; give it to the next `Contributor` of the same node.

    Attributes:
        term: the highest term of any coordinator that was listened to. It is not made durable when it changes: show a
            new process the term of its node's own replica.
        answered: by job, sorted.
    """

    term: int = 0
    answered: tuple[AnsweredVersions, ...] = ()

    def has_answered(self, job: str, base_version: int) -> bool:
        """Whether a sum over this base version was unmasked with this contributor's help."""
        return any(base_version in one for one in self.answered if one.job == job)

    def check_room(self, job: str) -> None:
        """Refuses a job that there is no room to remember.

        Raises:
            Refusal: MEMORY_FULL.
        """
        jobs = {one.job for one in self.answered}
        if job not in jobs and len(jobs) >= JOBS_MAX:
            raise Refusal(
                RefusalReason.MEMORY_FULL, f"answers to {JOBS_MAX} jobs are remembered already; use one of those names"
            )

    def answering(self, job: str, base_version: int) -> ContributorMemory:
        """The same, with an answer for this base version."""
        jobs = {one.job: one for one in self.answered}
        jobs[job] = jobs.get(job, AnsweredVersions(job)).adding(base_version)
        return replace(self, answered=tuple(jobs[name] for name in sorted(jobs)))
