"""The terms of a round: who is invited to what, and how many have to stay. Contributors sign them with their keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.encoding import INTEGER_MAX, encode

CONTRIBUTORS_MAX: Final = 256
VECTOR_LENGTH_MAX: Final = 1 << 22
"""32 MiB of masked input."""
ROUND_ID_BYTES: Final = 16
FLOOR_MIN: Final = 3
"""With two contributors each would learn the other's vector from the sum."""
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME_ALLOWED: Final = "1 to 63 of a-z, 0-9 and '-', which neither begins nor ends it"
_LABEL: Final = "weftmesh/aggregation/v1/terms"


def threshold_for(contributors: int) -> int:
    """How many of `contributors` have to answer at unmasking: more than three fifths.

    Any two sets of that size have more than a fifth of all in common, and an honest contributor answers once. So a
    coordinator that tells two halves of the mesh different stories gets shares of one secret, not of both.
    """
    return 3 * contributors // 5 + 1


@dataclass(frozen=True, slots=True)
class RoundTerms:
    """What a round is about.

    Attributes:
        round_id: 16 random bytes.
        job: what is summed: effort, or effort/training where a job has several kinds of rounds.
        base_version: the model version that everybody trains from.
        term: the Raft term of the coordinator.
        contributors: who is invited, sorted, without repetition.
        threshold: shares that rebuild a secret; 2 * threshold > len(contributors).
        floor: the fewest vectors that a sum may have.
        vector_length: 64-bit words of a masked vector.
    """

    round_id: bytes
    job: str
    base_version: int
    term: int
    contributors: tuple[str, ...]
    threshold: int
    floor: int
    vector_length: int

    @property
    def needed(self) -> int:
        """How many contributors have to get as far as masked input."""
        return max(self.threshold, self.floor)

    def encoded(self) -> bytes:
        """The canonical bytes: one for each set of terms."""
        return encode(
            _LABEL,
            self.round_id,
            self.job,
            self.base_version,
            self.term,
            self.threshold,
            self.floor,
            self.vector_length,
            len(self.contributors),
            *self.contributors,
        )


@dataclass(frozen=True, slots=True)
class ContributorPolicy:
    """What a contributor insists on, whatever the coordinator says.

    Attributes:
        floor: the fewest vectors in a sum that holds this one: 3, and 4 for anything about health.
        round_timeout_s: after that long without an end, a round's secrets are dropped.
    """

    floor: int = FLOOR_MIN
    round_timeout_s: float = 600.0


def check_terms(terms: RoundTerms) -> None:
    """Refuses terms that no round may have.

    Raises:
        Refusal: the reason says which rule they break.
    """
    if len(terms.round_id) != ROUND_ID_BYTES:
        raise Refusal(RefusalReason.MALFORMED, f"a round id has {ROUND_ID_BYTES} bytes, not {len(terms.round_id)}")
    if not 0 < len(terms.contributors) <= CONTRIBUTORS_MAX:
        count = len(terms.contributors)
        raise Refusal(RefusalReason.MALFORMED, f"a round has 1 to {CONTRIBUTORS_MAX} contributors, not {count}")
    if any(_NAME.fullmatch(name) is None for name in terms.contributors):
        raise Refusal(RefusalReason.MALFORMED, f"a contributor's name is {_NAME_ALLOWED}")
    check_sorted(terms.contributors, "the contributors")
    check_base(terms.job, terms.base_version)
    if not 0 <= terms.term <= INTEGER_MAX:
        raise Refusal(RefusalReason.MALFORMED, f"a term is 0 to {INTEGER_MAX}")
    if not 0 < terms.vector_length <= VECTOR_LENGTH_MAX:
        raise Refusal(
            RefusalReason.MALFORMED, f"a vector has 1 to {VECTOR_LENGTH_MAX} words, not {terms.vector_length}"
        )
    _check_counts(terms)


def _check_counts(terms: RoundTerms) -> None:
    invited = len(terms.contributors)
    if not threshold_for(invited) <= terms.threshold <= invited:
        raise Refusal(
            RefusalReason.LOW_THRESHOLD,
            f"threshold {terms.threshold} of {invited}: it has to be {threshold_for(invited)} to {invited}",
        )
    if not FLOOR_MIN <= terms.floor <= invited:
        raise Refusal(
            RefusalReason.FEW_CONTRIBUTORS,
            f"a sum of {terms.floor} of {invited} vectors: invite more; at least {FLOOR_MIN} have to be in every sum",
        )


def check_base(job: str, base_version: int) -> None:
    """Refuses what cannot be a job or a version.

    Raises:
        Refusal: MALFORMED.
    """
    if not all(_NAME.fullmatch(part) for part in job.split("/", 1)):
        raise Refusal(RefusalReason.MALFORMED, f"a job's name, and a kind after a slash, is {_NAME_ALLOWED}")
    if not 0 <= base_version <= INTEGER_MAX:
        raise Refusal(RefusalReason.MALFORMED, f"a base version is 0 to {INTEGER_MAX}")


def check_sorted(names: tuple[str, ...], what: str) -> None:
    """Refuses names that are out of order or repeated.

    Raises:
        Refusal: MALFORMED.
    """
    if any(first >= second for first, second in pairwise(names)):
        raise Refusal(RefusalReason.MALFORMED, f"{what} are not sorted, or one is named twice")


def check_policy(terms: RoundTerms, policy: ContributorPolicy, name: str) -> None:
    """Refuses terms that are weaker than what the contributor `name` insists on.

    Raises:
        Refusal: NOT_INVITED or FEW_CONTRIBUTORS.
    """
    if name not in terms.contributors:
        raise Refusal(RefusalReason.NOT_INVITED, f"{name} is not among the contributors of this round")
    if terms.floor < policy.floor:
        raise Refusal(
            RefusalReason.FEW_CONTRIBUTORS,
            f"the round may end with {terms.floor} vectors; {name} asks for at least {policy.floor}",
        )
