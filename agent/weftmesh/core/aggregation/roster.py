"""The signed keys of everybody in a round. All its secrets hang on their hash, so that everybody sees the same keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from weftmesh.core.aggregation.encoding import encode
from weftmesh.core.aggregation.keys import KEY_BYTES, key_statement
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.aggregation.terms import RoundTerms, check_sorted
from weftmesh.core.errors import WeftmeshError

Verify = Callable[[str, bytes, bytes], bool]
"""(contributor, statement, signature): whether the key of that contributor's certificate made the signature."""
SIGNATURE_BYTES_MAX: Final = 512
HASH_BYTES: Final = 32
_LABEL: Final = "weftmesh/aggregation/v1/roster"


@dataclass(frozen=True, slots=True)
class Roster:
    """The advertisements of one round, sorted by contributor, and their hash."""

    terms: RoundTerms
    entries: tuple[KeyAdvertisement, ...]
    hash: bytes

    @property
    def names(self) -> tuple[str, ...]:
        """Who advertised keys, sorted."""
        return tuple(entry.contributor for entry in self.entries)

    def number(self, name: str) -> int:
        """Where the polynomials are evaluated for `name`: its place, from 1 on."""
        return self.names.index(name) + 1

    def entry(self, name: str) -> KeyAdvertisement:
        """The advertisement of `name`, which is in the roster."""
        return self.entries[self.number(name) - 1]


def make_roster(terms: RoundTerms, entries: tuple[KeyAdvertisement, ...]) -> Roster:
    """A roster of advertisements whose signatures are verified elsewhere.

    Raises:
        Refusal: too few, too many, out of order, not invited, or two of them share a key.
    """
    if len(entries) > len(terms.contributors):
        raise Refusal(RefusalReason.MALFORMED, f"{len(entries)} keys for {len(terms.contributors)} contributors")
    if len(entries) < terms.needed:
        raise Refusal(
            RefusalReason.FEW_CONTRIBUTORS, f"{len(entries)} contributors advertised keys; {terms.needed} are needed"
        )
    for entry in entries:
        _check_shape(terms, entry)
    check_sorted(tuple(entry.contributor for entry in entries), "the roster's contributors")
    check_distinct_keys(entries)
    rows = [
        encode(one.contributor, one.masking_key, one.sharing_key, one.self_mask_commitment, one.signature)
        for one in entries
    ]
    digest = hashlib.sha256(encode(_LABEL, terms.encoded(), len(rows), *rows)).digest()
    return Roster(terms, entries, digest)


def check_advertisement(terms: RoundTerms, one: KeyAdvertisement, verify: Verify) -> None:
    """Refuses keys that their contributor did not sign for this round.

    Raises:
        Refusal: the reason says what is wrong.
    """
    _check_shape(terms, one)
    try:
        genuine = verify(one.contributor, key_statement(terms, one), one.signature)
    except WeftmeshError as error:
        raise Refusal(RefusalReason.BAD_SIGNATURE, f"the certificate of {one.contributor}: {error}") from error
    if not genuine:
        raise Refusal(
            RefusalReason.BAD_SIGNATURE, f"the keys of {one.contributor} are not signed by its certificate's key"
        )


def check_distinct_keys(entries: tuple[KeyAdvertisement, ...]) -> None:
    """Refuses advertisements two of which hold the same key.

    Raises:
        Refusal: BAD_KEY.
    """
    values = [value for one in entries for value in (one.masking_key, one.sharing_key, one.self_mask_commitment)]
    if len(set(values)) != len(values):
        raise Refusal(RefusalReason.BAD_KEY, "two of the keys are the same; every contributor makes its own")


def _check_shape(terms: RoundTerms, one: KeyAdvertisement) -> None:
    if one.round_id != terms.round_id:
        raise Refusal(RefusalReason.WRONG_ROUND, "the keys were made for another round")
    if one.contributor not in terms.contributors:
        raise Refusal(RefusalReason.NOT_INVITED, "keys of somebody who is not invited to this round")
    if any(len(key) != KEY_BYTES for key in (one.masking_key, one.sharing_key, one.self_mask_commitment)):
        raise Refusal(RefusalReason.MALFORMED, f"keys and commitment of {one.contributor}: {KEY_BYTES} bytes each")
    if len(one.signature) > SIGNATURE_BYTES_MAX:
        raise Refusal(RefusalReason.MALFORMED, f"a signature has at most {SIGNATURE_BYTES_MAX} bytes")
