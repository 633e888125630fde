"""The coordinator's last step: from the contributors' shares to the masks that come off the sum."""

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.core.aggregation.keys import Mask, agree, commitment, load_private_key, pair_mask, public_key, self_mask
from weftmesh.core.aggregation.messages import UnmaskShares
from weftmesh.core.aggregation.roster import Roster
from weftmesh.core.aggregation.shamir import Interpolation


def recover_masks(
    roster: Roster, active: tuple[str, ...], dead: tuple[str, ...], answers: Mapping[str, UnmaskShares]
) -> tuple[Mask, ...] | None:
    """What has to be applied to the sum of the active contributors' vectors; None if the answers do not suffice.

    A secret counts only when it is the one that its owner committed to, so a wrong share can delay the end and cannot
    change the sum. With one answer more than the threshold, any one contributor may lie.

    Args:
        roster: of the round.
        active: whose vectors are in the sum.
        dead: who shared secrets and has no vector in the sum.
        answers: by contributor, each with a share for every active and every dead one.
    """
    secrets: dict[str, bytes] = {}
    for helpers in _windows(sorted(answers), roster.terms.threshold):
        interpolation = Interpolation([roster.number(name) for name in helpers])
        shares = [_by_owner(answers[name]) for name in helpers]
        for owner in (*active, *dead):
            if owner not in secrets:
                secret = interpolation.combine([one[owner] for one in shares])
                if secret is not None and _is_committed(roster, owner, secret, masking=owner in dead):
                    secrets[owner] = secret
        if len(secrets) == len(active) + len(dead):
            return _masks(roster, active, dead, secrets)
    return None


def _windows(names: list[str], size: int) -> list[list[str]]:
    """Runs of `size` neighbours on the circle of names: any one name is missing from one of them, if there are more."""
    if len(names) <= size:
        return [names] if len(names) == size else []
    circle = names + names
    return [circle[start : start + size] for start in range(len(names))]


def _by_owner(answer: UnmaskShares) -> dict[str, bytes]:
    return {one.owner: one.share for one in (*answer.self_mask_shares, *answer.masking_key_shares)}


def _is_committed(roster: Roster, owner: str, secret: bytes, *, masking: bool) -> bool:
    entry = roster.entry(owner)
    if masking:
        return public_key(secret) == entry.masking_key
    return commitment(roster.terms, owner, secret) == entry.self_mask_commitment


def _masks(
    roster: Roster, active: tuple[str, ...], dead: tuple[str, ...], secrets: Mapping[str, bytes]
) -> tuple[Mask, ...]:
    """The self mask of each active contributor, and the pair masks that no dead one's vector cancels, all undone."""
    undone = [_opposite(self_mask(secrets[name], roster.hash, name)) for name in active]
    for gone in dead:
        masking_key = load_private_key(secrets[gone])
        for name in active:
            shared = agree(masking_key, roster.entry(name).masking_key)
            # What the dead one would have applied for this peer is the opposite of what the peer applied for it.
            undone.append(pair_mask(shared, roster.hash, gone, name))
    return tuple(undone)


def _opposite(mask: Mask) -> Mask:
    return Mask(-mask.sign, mask.seed)
