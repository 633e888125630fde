"""The signed keys of everybody in a round. All its secrets hang on their hash, so that everybody sees the same keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.core.aggregation.keys import KEY_BYTES, key_statement
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.aggregation.terms import RoundTerms, check_sorted
from weftmesh.core.encoding import encode
from weftmesh.core.errors import WeftmeshError

SIGNATURE_BYTES_MAX: Final = 512
HASH_BYTES: Final = 32
_LABEL: Final = "weftmesh/aggregation/v1/roster"


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """What a contributor is said to have signed.

    Attributes:
        contributor: who it is.
        statement: see `keys.key_statement`.
        signature: by the key of the contributor's certificate, if it is genuine.
    """

    contributor: str
    statement: bytes
    signature: bytes


Verify = Callable[[Sequence[SignedStatement]], Sequence[bool]]
"""Whether each is genuine, in the same order; all of a roster at once, since asking costs more than checking."""


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


def check_advertisements(terms: RoundTerms, entries: Sequence[KeyAdvertisement], verify: Verify) -> None:
    """Refuses keys if there are any among them that their contributor did not sign for this round.

    Raises:
        Refusal: the reason says what is wrong.
    """
    for one in entries:
        _check_shape(terms, one)
    names = [one.contributor for one in entries]
    try:
        genuine = verify(
            [SignedStatement(one.contributor, key_statement(terms, one), one.signature) for one in entries]
        )
    except WeftmeshError as error:
        raise Refusal(RefusalReason.BAD_SIGNATURE, f"the certificates of {', '.join(names)}: {error}") from error
    if len(genuine) != len(names):
        raise Refusal(RefusalReason.BAD_SIGNATURE, f"{len(genuine)} of {len(names)} signatures were checked")
    if forged := [name for name, is_genuine in zip(names, genuine, strict=True) if not is_genuine]:
        raise Refusal(
            RefusalReason.BAD_SIGNATURE,
            f"the keys of {', '.join(forged)} are not signed by the keys of their certificates",
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
