"""The four steps of a contributor: each takes the stage before and a message, and gives the next stage or refuses.

A stage holds the secrets that are still needed and no others: private keys are gone once shares are sealed, seeds are
gone once masks are handed out, and shares are gone once they were answered with.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from weftmesh.core.aggregation.keys import (
    Mask,
    RoundKeys,
    agree,
    commitment,
    key_statement,
    load_private_key,
    pair_mask,
    public_key,
    sealing_key,
    self_mask,
)
from weftmesh.core.aggregation.messages import (
    KeyAdvertisement,
    OwnedShare,
    RosterAnnouncement,
    SealedShares,
    ShareDelivery,
    ShareUpload,
    UnmaskIntent,
    UnmaskShares,
)
from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.aggregation.roster import Roster, Verify, check_advertisements, make_roster
from weftmesh.core.aggregation.sealing import SEALED_BYTES, binding, seal, unseal
from weftmesh.core.aggregation.shamir import split
from weftmesh.core.aggregation.terms import RoundTerms, check_sorted
from weftmesh.core.errors import WeftmeshError

Sign = Callable[[bytes], bytes]
"""Signs a key statement with the key of this node's certificate."""


@dataclass(frozen=True, slots=True)
class Advertised:
    """Keys are made and signed; the roster is awaited."""

    terms: RoundTerms
    advertisement: KeyAdvertisement
    keys: RoundKeys = field(repr=False)


@dataclass(frozen=True, slots=True)
class Peer:
    """What is needed of one peer once shares are sealed."""

    opening_key: bytes = field(repr=False)
    mask: Mask


@dataclass(frozen=True, slots=True)
class Shared:
    """Shares are sealed for all peers; theirs are awaited."""

    terms: RoundTerms
    roster: Roster
    peers: Mapping[str, Peer]
    self_mask: Mask
    own_shares: tuple[bytes, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Masked:
    """Masks were handed out; the intent and the request to unmask are awaited."""

    terms: RoundTerms
    roster: Roster
    shares: Mapping[str, tuple[bytes, bytes]] = field(repr=False)
    """Of the self mask and of the masking key, by owner: everybody who shared, this contributor too."""
    intent: UnmaskIntent | None = None


Stage = Advertised | Shared | Masked


def advertise(terms: RoundTerms, name: str, sign: Sign, rng: random.Random) -> Advertised:
    """Makes keys for a round and signs them.

    Raises:
        Refusal: SIGNING_FAILED.
    """
    keys = RoundKeys.generate(rng)
    unsigned = KeyAdvertisement(
        terms.round_id,
        name,
        masking_key=public_key(keys.masking),
        sharing_key=public_key(keys.sharing),
        self_mask_commitment=commitment(terms, name, keys.self_mask),
        signature=b"",
    )
    try:
        signature = sign(key_statement(terms, unsigned))
    except WeftmeshError as error:
        raise Refusal(RefusalReason.SIGNING_FAILED, f"the keys of this round could not be signed: {error}") from error
    return Advertised(terms, replace(unsigned, signature=signature), keys)


def share(
    stage: Advertised, announcement: RosterAnnouncement, verify: Verify, rng: random.Random
) -> tuple[Shared, ShareUpload]:
    """Verifies everybody's keys, then seals a share of both secrets for each peer.

    Raises:
        Refusal: the roster is not one that this contributor takes part in.
    """
    terms, keys, name = stage.terms, stage.keys, stage.advertisement.contributor
    roster = make_roster(terms, announcement.entries)
    if stage.advertisement not in roster.entries:
        raise Refusal(RefusalReason.ROSTER_MISMATCH, f"the roster does not hold the keys that {name} advertised")
    check_advertisements(terms, [entry for entry in roster.entries if entry != stage.advertisement], verify)
    masking_key, sharing_key = load_private_key(keys.masking), load_private_key(keys.sharing)
    sealing, peers = {}, {}
    for entry in roster.entries:
        peer = entry.contributor
        if peer != name:
            sharing = agree(sharing_key, entry.sharing_key)
            sealing[peer] = sealing_key(sharing, roster.hash, name, peer)
            mask = pair_mask(agree(masking_key, entry.masking_key), roster.hash, name, peer)
            peers[peer] = Peer(sealing_key(sharing, roster.hash, peer, name), mask)
    self_mask_shares = split(keys.self_mask, terms.threshold, len(roster.entries), rng)
    masking_key_shares = split(keys.masking, terms.threshold, len(roster.entries), rng)
    dealt = dict(zip(roster.names, zip(self_mask_shares, masking_key_shares, strict=True), strict=True))
    sealed = tuple(
        SealedShares(peer, seal(key, binding(terms.round_id, roster.hash, name, peer), *dealt[peer]))
        for peer, key in sealing.items()
    )
    own = self_mask(keys.self_mask, roster.hash, name)
    return Shared(terms, roster, peers, own, dealt[name]), ShareUpload(terms.round_id, roster.hash, sealed)


def open_shares(stage: Shared, name: str, delivery: ShareDelivery) -> tuple[Masked, tuple[Mask, ...]]:
    """Opens the peers' shares; gives the masks that hide this contributor's vector.

    Raises:
        Refusal: too few peers shared, or a share is not for this contributor and this roster.
    """
    terms, roster_hash = stage.terms, stage.roster.hash
    senders = tuple(one.peer for one in delivery.shares)
    if len(senders) > len(stage.peers):
        raise Refusal(RefusalReason.MALFORMED, f"shares from {len(senders)} peers; the roster has {len(stage.peers)}")
    check_sorted(senders, "the senders of shares")
    if delivery.roster_hash != roster_hash:
        raise Refusal(RefusalReason.ROSTER_MISMATCH, "the shares belong to another roster")
    if any(sender not in stage.peers for sender in senders):
        raise Refusal(RefusalReason.NOT_INVITED, "shares from somebody who is no peer in the roster")
    if len(senders) + 1 < terms.needed:
        raise Refusal(
            RefusalReason.FEW_CONTRIBUTORS, f"{len(senders) + 1} contributors shared secrets; {terms.needed} are needed"
        )
    shares = {name: stage.own_shares}
    for one in delivery.shares:
        if len(one.sealed) != SEALED_BYTES:
            raise Refusal(RefusalReason.MALFORMED, f"the shares from {one.peer} have {len(one.sealed)} bytes")
        bound = binding(terms.round_id, roster_hash, one.peer, name)
        shares[one.peer] = unseal(stage.peers[one.peer].opening_key, bound, one.sealed, one.peer)
    masks = (stage.self_mask, *(stage.peers[sender].mask for sender in senders))
    return Masked(terms, stage.roster, shares), masks


def check_intent(stage: Masked, name: str, intent: UnmaskIntent) -> None:
    """Refuses an intent that is not about exactly this round, or that does not keep its terms.

    Raises:
        Refusal: MALFORMED, INTENT_MISMATCH or FEW_CONTRIBUTORS.
    """
    terms, names = stage.terms, set(stage.roster.names)
    if len(intent.active) + len(intent.dead) > len(names):
        raise Refusal(RefusalReason.MALFORMED, "the intent names more contributors than the roster has")
    check_sorted(intent.active, "the active contributors")
    check_sorted(intent.dead, "the dead contributors")
    about = (intent.job, intent.base_version, intent.round_id, intent.term, intent.roster_hash)
    if about != (terms.job, terms.base_version, terms.round_id, terms.term, stage.roster.hash):
        raise Refusal(RefusalReason.INTENT_MISMATCH, "the intent is about another round, roster or term")
    active, dead = set(intent.active), set(intent.dead)
    if active & dead or active | dead != names:
        raise Refusal(RefusalReason.INTENT_MISMATCH, "active and dead have to be disjoint, and together the roster")
    if not active <= set(stage.shares):
        raise Refusal(RefusalReason.INTENT_MISMATCH, "somebody is active who shared no secrets with this contributor")
    if name not in active:
        raise Refusal(RefusalReason.INTENT_MISMATCH, f"{name} is not active: its vector is not in the sum")
    if len(active) < terms.needed:
        raise Refusal(RefusalReason.FEW_CONTRIBUTORS, f"a sum of {len(active)} vectors; {terms.needed} are needed")


def unmask(stage: Masked, intent: UnmaskIntent) -> UnmaskShares:
    """Of each active contributor the share of its self mask, of each dead one that of its masking key; never both."""
    return UnmaskShares(
        stage.terms.round_id,
        self_mask_shares=tuple(OwnedShare(owner, stage.shares[owner][0]) for owner in intent.active),
        masking_key_shares=tuple(
            OwnedShare(owner, stage.shares[owner][1]) for owner in intent.dead if owner in stage.shares
        ),
    )
