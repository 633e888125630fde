"""What a coordinator insists on before it takes a contributor's message into a round."""

from __future__ import annotations

from weftmesh.core.aggregation.messages import MaskedInput, OwnedShare, ShareUpload, UnmaskShares
from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason
from weftmesh.core.aggregation.roster import Roster
from weftmesh.core.aggregation.sealing import SEALED_BYTES
from weftmesh.core.aggregation.shamir import is_share


def check_upload(roster: Roster, sender: str, upload: ShareUpload) -> None:
    """Refuses an upload that is not one sealed pair of shares for each peer of this roster.

    Raises:
        Refusal: ROSTER_MISMATCH or MALFORMED.
    """
    _check_roster(roster, upload.roster_hash)
    peers = tuple(name for name in roster.names if name != sender)
    if tuple(one.peer for one in upload.shares) != peers:
        raise Refusal(RefusalReason.MALFORMED, "shares for somebody else than every peer of the roster in its order")
    if any(len(one.sealed) != SEALED_BYTES for one in upload.shares):
        raise Refusal(RefusalReason.MALFORMED, f"sealed shares have {SEALED_BYTES} bytes")


def check_input(roster: Roster, masked: MaskedInput) -> None:
    """Refuses a vector that does not fit into the sum.

    Raises:
        Refusal: ROSTER_MISMATCH or MALFORMED.
    """
    _check_roster(roster, masked.roster_hash)
    if masked.length != roster.terms.vector_length:
        raise Refusal(
            RefusalReason.MALFORMED,
            f"a vector of {masked.length} words; this round's have {roster.terms.vector_length}",
        )


def check_answer(active: tuple[str, ...], dead: tuple[str, ...], answer: UnmaskShares) -> None:
    """Refuses an answer that is not one share for each of the active and of the dead who shared secrets.

    Raises:
        Refusal: MALFORMED.
    """
    _check_shares(answer.self_mask_shares, active, "self masks of the active")
    _check_shares(answer.masking_key_shares, dead, "masking keys of the dead")


def _check_shares(shares: tuple[OwnedShare, ...], owners: tuple[str, ...], what: str) -> None:
    if tuple(one.owner for one in shares) != owners:
        raise Refusal(RefusalReason.MALFORMED, f"the {what}: one share each is needed, in the order of the intent")
    if not all(is_share(one.share) for one in shares):
        raise Refusal(RefusalReason.MALFORMED, f"the {what}: one of the shares is no element of the field")


def _check_roster(roster: Roster, roster_hash: bytes) -> None:
    if roster_hash != roster.hash:
        raise Refusal(RefusalReason.ROSTER_MISMATCH, "the message belongs to another roster than this round's")
