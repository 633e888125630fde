"""What a coordinator and its contributors say to each other, in the order of a round. Plain types only.

coordinator                                contributor
Invitation               ->
                         <-                KeyAdvertisement
RosterAnnouncement       ->
                         <-                ShareUpload
ShareDelivery            ->
                         <-                MaskedInput, with the vector beside it
(the intent is committed in the replicated log, and each contributor is shown it by its own node)
UnmaskRequest            ->
                         <-                UnmaskShares
"""

from __future__ import annotations

from dataclasses import dataclass

from weftmesh.core.aggregation.terms import RoundTerms


@dataclass(frozen=True, slots=True)
class Invitation:
    """Asks for keys."""

    terms: RoundTerms


@dataclass(frozen=True, slots=True)
class KeyAdvertisement:
    """A contributor's public keys for one round.

    Attributes:
        round_id: of the terms.
        contributor: who it is.
        masking_key: X25519, 32 bytes; pairs of these make the masks that cancel out.
        sharing_key: X25519, 32 bytes; pairs of these seal the shares.
        self_mask_commitment: SHA-256 over the seed of the self mask, 32 bytes.
        signature: of `keys.key_statement` by the key of the contributor's certificate.
    """

    round_id: bytes
    contributor: str
    masking_key: bytes
    sharing_key: bytes
    self_mask_commitment: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class RosterAnnouncement:
    """The keys of all who advertised, sorted by contributor; asks for shares."""

    round_id: bytes
    term: int
    entries: tuple[KeyAdvertisement, ...]


@dataclass(frozen=True, slots=True)
class SealedShares:
    """A share of each of a contributor's two secrets, readable by one peer.

    Attributes:
        peer: who it is for, on the way to the coordinator; whom it is from, on the way on.
        sealed: ChaCha20-Poly1305, `sealing.SEALED_BYTES` long.
    """

    peer: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class ShareUpload:
    """One contributor's shares for all others of the roster, sorted by receiver."""

    round_id: bytes
    roster_hash: bytes
    shares: tuple[SealedShares, ...]


@dataclass(frozen=True, slots=True)
class ShareDelivery:
    """The shares for one contributor, sorted by sender; asks for its masked vector."""

    round_id: bytes
    term: int
    roster_hash: bytes
    shares: tuple[SealedShares, ...]


@dataclass(frozen=True, slots=True)
class MaskedInput:
    """Goes with a masked vector of `length` 64-bit words, which the protocol itself never looks at."""

    round_id: bytes
    roster_hash: bytes
    length: int


@dataclass(frozen=True, slots=True)
class UnmaskIntent:
    """Whose vectors are in the sum, agreed in the replicated log before anybody helps to unmask it.

    Attributes:
        job: of the terms.
        base_version: of the terms; a base version has at most one intent.
        round_id: of the terms.
        roster_hash: SHA-256 of the signed roster.
        active: whose vectors are summed, sorted.
        dead: the rest of the roster, sorted.
        term: of the terms.
    """

    job: str
    base_version: int
    round_id: bytes
    roster_hash: bytes
    active: tuple[str, ...]
    dead: tuple[str, ...]
    term: int


@dataclass(frozen=True, slots=True)
class UnmaskRequest:
    """Asks for the shares that take the masks off the sum."""

    intent: UnmaskIntent


@dataclass(frozen=True, slots=True)
class OwnedShare:
    """One share of one secret of `owner`: `shamir.SHARE_BYTES` bytes."""

    owner: str
    share: bytes


@dataclass(frozen=True, slots=True)
class UnmaskShares:
    """One contributor's shares of the self masks of the active, and of the masking keys of the dead; sorted by owner.

    Who died before its shares were delivered is left out: nobody applied a mask for it.
    """

    round_id: bytes
    self_mask_shares: tuple[OwnedShare, ...]
    masking_key_shares: tuple[OwnedShare, ...]


ContributorMessage = KeyAdvertisement | ShareUpload | MaskedInput | UnmaskShares
CoordinatorMessage = Invitation | RosterAnnouncement | ShareDelivery | UnmaskRequest
