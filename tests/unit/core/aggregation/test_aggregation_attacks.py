"""What a coordinator, a peer or the network may try, one attack a test: each is refused and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from tests.unit.core.aggregation.rounds import Mesh, names, terms_for

from weftmesh.core.aggregation.events import IntentShown, Received, Remember, TermShown, Tick
from weftmesh.core.aggregation.keys import key_statement
from weftmesh.core.aggregation.messages import (
    ContributorMessage,
    CoordinatorMessage,
    Invitation,
    KeyAdvertisement,
    MaskedInput,
    OwnedShare,
    RosterAnnouncement,
    SealedShares,
    ShareDelivery,
    ShareUpload,
    UnmaskIntent,
    UnmaskRequest,
    UnmaskShares,
)
from weftmesh.core.aggregation.outcomes import RefusalReason
from weftmesh.core.aggregation.terms import ContributorPolicy, RoundTerms

VICTIM = "n01"


def held_before(
    kind: type[CoordinatorMessage], count: int = 5, *, shows_intent: Callable[[str], bool] = lambda _name: True
) -> Mesh:
    """A round in which the victim has everything but its message of type `kind`."""
    mesh = Mesh(count, shows_intent=shows_intent)
    mesh.to_contributor = lambda name, message: None if (name, type(message)) == (VICTIM, kind) else message
    mesh.open(terms_for(count))
    mesh.settle()
    return mesh


def refused(mesh: Mesh, event: object, reason: RefusalReason) -> None:
    """The victim refuses `event` for that reason and stays where it is."""
    victim = mesh.contributors[VICTIM]
    before = (victim.round_id, victim.memory, victim.next_deadline())
    answer = mesh.tell(VICTIM, event)  # type: ignore[arg-type]
    assert answer is not None
    assert answer.reason is reason
    assert (victim.round_id, victim.memory, victim.next_deadline()) == before


# Terms


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"threshold": 3}, RefusalReason.LOW_THRESHOLD),
        ({"threshold": 6}, RefusalReason.LOW_THRESHOLD),
        ({"floor": 2}, RefusalReason.FEW_CONTRIBUTORS),
        ({"floor": 6}, RefusalReason.FEW_CONTRIBUTORS),
        ({"contributors": ("n00", "n02", "n03", "n04", "n05")}, RefusalReason.NOT_INVITED),
        ({"contributors": ("n00", "n01", "n01", "n03", "n04")}, RefusalReason.MALFORMED),
        ({"contributors": ("n01", "n00", "n02", "n03", "n04")}, RefusalReason.MALFORMED),
        ({"contributors": ()}, RefusalReason.MALFORMED),
        ({"contributors": tuple(f"n{number:03}" for number in range(257))}, RefusalReason.MALFORMED),
        ({"contributors": ("n00", "n01", "\ud800")}, RefusalReason.MALFORMED),
        ({"round_id": b"short"}, RefusalReason.MALFORMED),
        ({"job": "Effort"}, RefusalReason.MALFORMED),
        ({"job": "a/b/c"}, RefusalReason.MALFORMED),
        ({"base_version": -1}, RefusalReason.MALFORMED),
        ({"term": 1 << 63}, RefusalReason.MALFORMED),
        ({"vector_length": 0}, RefusalReason.MALFORMED),
        ({"vector_length": 1 << 30}, RefusalReason.MALFORMED),
    ],
)
def test_weak_or_malformed_terms_are_refused(changes: dict[str, object], reason: RefusalReason) -> None:
    mesh = Mesh(5)
    refused(mesh, Invitation(replace(terms_for(5), **changes)), reason)  # type: ignore[arg-type]


def test_two_contributors_are_never_enough() -> None:
    terms = replace(terms_for(3), contributors=("n00", "n01"), threshold=2, floor=2)
    refused(Mesh(3), Invitation(terms), RefusalReason.FEW_CONTRIBUTORS)


def test_a_contributor_may_ask_for_more_than_the_round_offers() -> None:
    mesh = Mesh(5, policy=ContributorPolicy(floor=4))
    refused(mesh, Invitation(terms_for(5, floor=3)), RefusalReason.FEW_CONTRIBUTORS)
    assert mesh.tell(VICTIM, Invitation(terms_for(5, floor=4))) is None


# Keys and roster


def with_entry(
    roster: RosterAnnouncement, name: str, change: Callable[[KeyAdvertisement], KeyAdvertisement]
) -> RosterAnnouncement:
    return replace(roster, entries=tuple(change(one) if one.contributor == name else one for one in roster.entries))


def the_roster(count: int = 5) -> tuple[Mesh, RosterAnnouncement]:
    mesh = held_before(RosterAnnouncement, count)
    roster = mesh.told[VICTIM, RosterAnnouncement]
    assert isinstance(roster, RosterAnnouncement)
    return mesh, roster


@pytest.mark.parametrize("field", ["masking_key", "sharing_key", "self_mask_commitment"])
def test_substituted_keys_are_refused(field: str) -> None:
    mesh, roster = the_roster()
    for peer in ("n00", "n04"):
        forged = with_entry(roster, peer, lambda one: replace(one, **{field: bytes([7] * 32)}))  # type: ignore[arg-type]
        refused(mesh, forged, RefusalReason.BAD_SIGNATURE)
    own = with_entry(roster, VICTIM, lambda one: replace(one, **{field: bytes([7] * 32)}))  # type: ignore[arg-type]
    refused(mesh, own, RefusalReason.ROSTER_MISMATCH)
    assert mesh.tell(VICTIM, roster) is None


def test_keys_that_were_signed_for_other_terms_are_refused() -> None:
    mesh, roster = the_roster()
    for other in (
        terms_for(5, base_version=8),
        terms_for(5, term=4),
        terms_for(5, job="other"),
        replace(terms_for(5), threshold=5),
        replace(terms_for(5), vector_length=2),
    ):
        forged = with_entry(roster, "n00", lambda one, other=other: signed(mesh, other, one))  # type: ignore[misc]
        refused(mesh, forged, RefusalReason.BAD_SIGNATURE)


def signed(mesh: Mesh, terms: RoundTerms, one: KeyAdvertisement) -> KeyAdvertisement:
    return replace(one, signature=mesh.signers.key(one.contributor).sign(key_statement(terms, one)))


def test_a_key_of_small_order_is_refused() -> None:
    mesh, roster = the_roster()
    for field in ("masking_key", "sharing_key"):
        weak = with_entry(
            roster,
            "n00",
            lambda one, field=field: signed(mesh, terms_for(5), replace(one, **{field: bytes(32)})),  # type: ignore[misc]
        )
        refused(mesh, weak, RefusalReason.BAD_KEY)


def test_one_key_under_two_names_is_refused() -> None:
    mesh, roster = the_roster()
    copied = roster.entries[2].masking_key
    twice = with_entry(roster, "n00", lambda one: signed(mesh, terms_for(5), replace(one, masking_key=copied)))
    refused(mesh, twice, RefusalReason.BAD_KEY)


def test_a_roster_of_too_few_repeated_or_unknown_names_is_refused() -> None:
    mesh, roster = the_roster()
    entries = roster.entries
    for wrong, reason in (
        (entries[:3], RefusalReason.FEW_CONTRIBUTORS),
        ((), RefusalReason.FEW_CONTRIBUTORS),
        ((entries[0], *entries[:4]), RefusalReason.MALFORMED),
        (entries[::-1], RefusalReason.MALFORMED),
        (entries * 100, RefusalReason.MALFORMED),
        ((*entries[:4], replace(entries[4], contributor="\ud800")), RefusalReason.NOT_INVITED),
        ((*entries[:4], replace(entries[4], sharing_key=b"short")), RefusalReason.MALFORMED),
        ((*entries[:4], replace(entries[4], signature=bytes(513))), RefusalReason.MALFORMED),
        ((*entries[:4], replace(entries[4], round_id=bytes(16))), RefusalReason.WRONG_ROUND),
    ):
        refused(mesh, replace(roster, entries=wrong), reason)


def test_peers_that_were_shown_different_rosters_cannot_exchange_shares() -> None:
    """The coordinator leaves one contributor out of the roster that the victim sees."""
    mesh = Mesh(5)

    def equivocate(name: str, message: CoordinatorMessage) -> CoordinatorMessage | None:
        if isinstance(message, RosterAnnouncement) and name == VICTIM:
            return replace(message, entries=message.entries[:4])
        return message

    mesh.to_contributor = equivocate
    mesh.open(terms_for(5))
    mesh.settle()
    assert mesh.refusals[-1][1].reason is RefusalReason.ROSTER_MISMATCH
    # A coordinator that goes on all the same, with what the others sealed under their roster, gets no vector either.
    uploads = {name: mesh.said[name, ShareUpload] for name in ("n00", VICTIM, "n02", "n03")}
    refused(mesh, delivery_of(uploads), RefusalReason.SHARE_UNREADABLE)
    assert VICTIM not in mesh.vectors


def delivery_of(uploads: Mapping[str, ContributorMessage]) -> ShareDelivery:
    """What a coordinator makes of uploads for the victim, under the victim's own roster."""
    shares: list[SealedShares] = []
    roster_hash = b""
    for name, upload in uploads.items():
        assert isinstance(upload, ShareUpload)
        if name == VICTIM:
            roster_hash = upload.roster_hash
        else:
            shares += [SealedShares(name, one.sealed) for one in upload.shares if one.peer == VICTIM]
    return ShareDelivery(terms_for(5).round_id, terms_for(5).term, roster_hash, tuple(shares))


# Shares and masked input


def the_delivery(count: int = 5) -> tuple[Mesh, ShareDelivery]:
    mesh = held_before(ShareDelivery, count)
    delivery = mesh.told[VICTIM, ShareDelivery]
    assert isinstance(delivery, ShareDelivery)
    return mesh, delivery


def test_shares_that_are_redirected_cut_or_invented_are_refused() -> None:
    mesh, delivery = the_delivery()
    shares = delivery.shares
    sealed = [one.sealed for one in shares]
    swapped = tuple(SealedShares(one.peer, other) for one, other in zip(shares, sealed[1:] + sealed[:1], strict=True))
    for wrong, reason in (
        (swapped, RefusalReason.SHARE_UNREADABLE),
        ((*shares[:3], replace(shares[3], sealed=bytes(len(sealed[3])))), RefusalReason.SHARE_UNREADABLE),
        ((*shares[:3], replace(shares[3], sealed=sealed[3][:-1])), RefusalReason.MALFORMED),
        ((*shares[:3], shares[2]), RefusalReason.MALFORMED),
        (shares * 2, RefusalReason.MALFORMED),
        (shares[:2], RefusalReason.FEW_CONTRIBUTORS),
        ((*shares[:3], replace(shares[3], peer="\ud800")), RefusalReason.NOT_INVITED),
        ((shares[0], replace(shares[1], peer=VICTIM), *shares[2:]), RefusalReason.NOT_INVITED),
    ):
        refused(mesh, replace(delivery, shares=wrong), reason)
    refused(mesh, replace(delivery, roster_hash=bytes(32)), RefusalReason.ROSTER_MISMATCH)
    assert mesh.tell(VICTIM, delivery) is None


def test_a_vector_is_not_asked_for_in_the_plain() -> None:
    """Without peers' shares there are no masks, and without masks nothing tells a contributor to send a vector."""
    mesh, delivery = the_delivery()
    refused(mesh, replace(delivery, shares=()), RefusalReason.FEW_CONTRIBUTORS)
    early, _roster = the_roster()
    refused(early, delivery, RefusalReason.OUT_OF_STAGE)
    refused(Mesh(5), delivery, RefusalReason.WRONG_ROUND)
    refused(Mesh(5), MaskedInput(bytes(16), bytes(32), 1), RefusalReason.MALFORMED)
    assert VICTIM not in mesh.vectors


def test_masks_are_handed_out_once() -> None:
    mesh, delivery = the_delivery()
    assert mesh.tell(VICTIM, delivery) is None
    refused(mesh, delivery, RefusalReason.OUT_OF_STAGE)
    refused(mesh, mesh.told[VICTIM, RosterAnnouncement], RefusalReason.OUT_OF_STAGE)
    refused(mesh, mesh.told[VICTIM, Invitation], RefusalReason.OUT_OF_STAGE)


# Unmasking


def the_request(*, shown: bool = True) -> tuple[Mesh, UnmaskIntent]:
    """A mesh where the victim was shown the intent, unless told otherwise, and not yet asked to unmask."""
    mesh = held_before(UnmaskRequest, shows_intent=lambda name: shown or name != VICTIM)
    request = mesh.told[VICTIM, UnmaskRequest]
    assert isinstance(request, UnmaskRequest)
    return mesh, request.intent


def bent(intent: UnmaskIntent) -> list[UnmaskIntent]:
    """Intents that would tell more than the sum, or the sum of others."""
    return [
        replace(intent, dead=("n00",)),  # both secrets of n00
        replace(intent, active=intent.active[1:]),  # incomplete
        replace(intent, active=("n01", "n02", "n03"), dead=("n00", "n04")),  # below the threshold
        replace(intent, active=("n00", "n02", "n03", "n04"), dead=("n01",)),  # without the victim
        replace(intent, active=(*intent.active, "n99")),
        replace(intent, active=intent.active[::-1]),
        replace(intent, active=(*intent.active, intent.active[-1])),
        replace(intent, roster_hash=bytes(32)),
        replace(intent, roster_hash=b""),
        replace(intent, job="other"),
        replace(intent, base_version=intent.base_version + 1),
        replace(intent, round_id=bytes(16)),
        replace(intent, term=intent.term + 1),
    ]


def test_a_request_other_than_the_intent_is_refused() -> None:
    mesh, intent = the_request()
    fitting = replace(intent, active=intent.active[:4], dead=intent.active[4:])  # but not what the mesh agreed on
    for other in (fitting, *bent(intent)):
        assert mesh.tell(VICTIM, UnmaskRequest(other)) is not None
    assert (VICTIM, UnmaskShares) not in mesh.said
    assert mesh.tell(VICTIM, UnmaskRequest(intent)) is None


def test_an_intent_that_does_not_fit_the_round_is_no_ground_to_answer() -> None:
    mesh, intent = the_request(shown=False)
    for other in bent(intent):
        if other.round_id == intent.round_id and VICTIM not in other.dead:
            assert mesh.tell(VICTIM, IntentShown(other)) is not None
        assert mesh.tell(VICTIM, UnmaskRequest(other)) is not None
    assert (VICTIM, UnmaskShares) not in mesh.said
    assert mesh.tell(VICTIM, IntentShown(intent)) is None
    assert mesh.tell(VICTIM, UnmaskRequest(intent)) is None


def test_a_contributor_answers_only_to_what_its_own_replica_holds() -> None:
    mesh = Mesh(5)
    mesh.shows_intent = lambda name: name != VICTIM
    mesh.open(terms_for(5))
    mesh.settle()
    assert [one.reason for who, one in mesh.refusals if who == VICTIM] == [RefusalReason.INTENT_NOT_SHOWN]
    assert mesh.result == mesh.expected()


def test_a_second_intent_is_refused_after_the_first_was_shown() -> None:
    mesh, intent = the_request()
    other = replace(intent, active=("n00", "n01", "n02", "n03"), dead=("n04",))
    refused(mesh, IntentShown(other), RefusalReason.INTENT_MISMATCH)
    refused(mesh, UnmaskRequest(other), RefusalReason.INTENT_MISMATCH)
    assert mesh.tell(VICTIM, IntentShown(intent)) is None


def test_nobody_gives_both_secrets_of_anybody() -> None:
    mesh = Mesh(10)
    mesh.to_coordinator = lambda name, message: None if (name, type(message)) == ("n04", MaskedInput) else message
    assert mesh.run() == mesh.expected()
    for name in mesh.summed:
        answer = mesh.said[name, UnmaskShares]
        assert isinstance(answer, UnmaskShares)
        assert [one.owner for one in answer.masking_key_shares] == ["n04"]
        assert tuple(one.owner for one in answer.self_mask_shares) == mesh.summed


def test_a_request_is_answered_once() -> None:
    mesh, intent = the_request()
    assert mesh.tell(VICTIM, UnmaskRequest(intent)) is None
    refused(mesh, UnmaskRequest(intent), RefusalReason.ALREADY_ANSWERED)


def test_what_was_answered_is_remembered_before_the_answer_leaves() -> None:
    mesh, intent = the_request()
    effects = mesh.contributors[VICTIM].apply(UnmaskRequest(intent), mesh.now_s).effects
    assert [type(effect).__name__ for effect in effects] == ["Remember", "Reply", "RoundEnded"]


def test_another_round_on_the_same_base_version_is_refused() -> None:
    """Two sums over one base version, with and without somebody, would tell that one's vector."""
    mesh = Mesh(5)
    assert mesh.run() is not None
    refused(mesh, Invitation(terms_for(5, round_number=2)), RefusalReason.ALREADY_ANSWERED)
    assert mesh.tell(VICTIM, Invitation(terms_for(5, round_number=3, base_version=8))) is None


def test_the_memory_outlives_the_process() -> None:
    mesh = Mesh(5)
    mesh.run()
    memory = mesh.contributors[VICTIM].memory
    assert Remember(memory) in mesh.memories
    mesh.contributors[VICTIM] = mesh.contributor(VICTIM, memory)
    refused(mesh, Invitation(terms_for(5, round_number=2)), RefusalReason.ALREADY_ANSWERED)
    refused(mesh, Invitation(terms_for(5, round_number=2, base_version=8, term=2)), RefusalReason.STALE_TERM)


def test_an_intent_for_another_round_closes_the_base_version() -> None:
    """The mesh settled on a first round; a second one must not get this contributor's vector over the same model."""
    mesh, intent = the_request()
    first = replace(intent, round_id=bytes(16))
    assert mesh.tell(VICTIM, IntentShown(first)) is None
    assert mesh.contributors[VICTIM].round_id is None
    refused(mesh, UnmaskRequest(intent), RefusalReason.ALREADY_ANSWERED)
    refused(mesh, Invitation(terms_for(5, round_number=2)), RefusalReason.ALREADY_ANSWERED)


def test_an_intent_that_counts_a_contributor_as_dead_ends_its_round() -> None:
    mesh, intent = the_request(shown=False)
    without = replace(intent, active=("n00", "n02", "n03", "n04"), dead=(VICTIM,))
    assert mesh.tell(VICTIM, IntentShown(without)) is None
    assert mesh.contributors[VICTIM].round_id is None
    refused(mesh, Invitation(terms_for(5, round_number=2)), RefusalReason.ALREADY_ANSWERED)


def test_nobody_is_active_who_shared_no_secrets() -> None:
    mesh = Mesh(5, shows_intent=lambda name: name != VICTIM)
    mesh.to_coordinator = lambda name, message: None if (name, type(message)) == ("n04", ShareUpload) else message
    mesh.to_contributor = lambda name, message: None if isinstance(message, UnmaskRequest) else message
    mesh.open(terms_for(5))
    mesh.settle()
    mesh.now_s = mesh.coordinator.next_deadline() or 0.0
    mesh.tell_coordinator(Tick())
    mesh.settle()
    request = mesh.told[VICTIM, UnmaskRequest]
    assert isinstance(request, UnmaskRequest)
    assert request.intent.dead == ("n04",)
    refused(mesh, IntentShown(replace(request.intent, active=names(5), dead=())), RefusalReason.INTENT_MISMATCH)
    assert mesh.tell(VICTIM, IntentShown(request.intent)) is None
    assert mesh.tell(VICTIM, UnmaskRequest(request.intent)) is None
    answer = mesh.said[VICTIM, UnmaskShares]
    assert isinstance(answer, UnmaskShares)
    assert answer.masking_key_shares == ()


# Terms of leadership and time


def test_a_coordinator_of_an_older_term_is_refused() -> None:
    mesh, intent = the_request()
    assert mesh.tell(VICTIM, TermShown(4)) is None
    assert mesh.contributors[VICTIM].round_id is None
    refused(mesh, UnmaskRequest(intent), RefusalReason.STALE_TERM)
    refused(mesh, Invitation(terms_for(5, round_number=2)), RefusalReason.STALE_TERM)
    refused(mesh, TermShown(3), RefusalReason.STALE_TERM)
    refused(mesh, TermShown(-1), RefusalReason.MALFORMED)
    assert mesh.tell(VICTIM, Invitation(terms_for(5, round_number=2, term=4))) is None


def test_a_new_coordinator_takes_over_and_the_old_round_is_lost() -> None:
    mesh, intent = the_request()
    assert mesh.tell(VICTIM, Invitation(terms_for(5, round_number=2, base_version=8, term=4))) is None
    refused(mesh, UnmaskRequest(intent), RefusalReason.STALE_TERM)


def test_secrets_are_dropped_at_the_deadline() -> None:
    mesh, intent = the_request()
    deadline_s = mesh.contributors[VICTIM].next_deadline()
    assert deadline_s is not None
    mesh.now_s = deadline_s
    mesh.tell(VICTIM, Tick())
    assert mesh.contributors[VICTIM].round_id is None
    assert mesh.contributors[VICTIM].next_deadline() is None
    refused(mesh, UnmaskRequest(intent), RefusalReason.WRONG_ROUND)


# What contributors may try against the coordinator


def test_a_contributor_speaks_for_itself_only_and_once() -> None:
    mesh = Mesh(5)
    mesh.open(terms_for(5))
    own = mesh.contributors["n00"].apply(Invitation(terms_for(5)), 0.0).effects[0].message  # type: ignore[union-attr]
    for sender, reason in (("n01", RefusalReason.BAD_KEY), ("n99", RefusalReason.NOT_INVITED)):
        answer = mesh.tell_coordinator(Received(sender, own))
        assert answer is not None
        assert answer.reason is reason
    assert mesh.tell_coordinator(Received("n00", own)) is None
    again = mesh.tell_coordinator(Received("n00", own))
    assert again is not None
    assert again.reason is RefusalReason.OUT_OF_STAGE


@pytest.mark.parametrize("liars", [1, 2])
def test_wrong_shares_never_change_the_sum(liars: int) -> None:
    """With five contributors and a threshold of four, one liar is tolerated and two are not."""
    mesh = Mesh(5)

    def lie(name: str, message: ContributorMessage) -> ContributorMessage:
        if isinstance(message, UnmaskShares) and name in names(liars):
            shares = message.self_mask_shares
            # A small change of a valid share moves the secret by a small multiple: still a plausible secret.
            moved = (int.from_bytes(shares[2].share, "big") ^ 1).to_bytes(66, "big")
            return replace(message, self_mask_shares=(*shares[:2], replace(shares[2], share=moved), *shares[3:]))
        return message

    mesh.to_coordinator = lie
    result = mesh.run()
    assert result == (mesh.expected() if liars == 1 else None)


def test_equal_shares_from_two_contributors_do_not_make_a_secret() -> None:
    mesh = Mesh(5)
    copied: list[tuple[OwnedShare, ...]] = []

    def copy(_name: str, message: ContributorMessage) -> ContributorMessage:
        if isinstance(message, UnmaskShares):
            copied.append(message.self_mask_shares)
            return replace(message, self_mask_shares=copied[0])
        return message

    mesh.to_coordinator = copy
    assert mesh.run() is None


@pytest.mark.parametrize("wrong", [b"", bytes(65), b"\xff" * 66])
def test_malformed_shares_are_refused(wrong: bytes) -> None:
    mesh = Mesh(5)
    mesh.to_coordinator = lambda name, message: (
        replace(message, self_mask_shares=tuple(replace(one, share=wrong) for one in message.self_mask_shares))
        if isinstance(message, UnmaskShares) and name == VICTIM
        else message
    )
    assert mesh.run() == mesh.expected()
    assert RefusalReason.MALFORMED in [one.reason for _who, one in mesh.refusals]
