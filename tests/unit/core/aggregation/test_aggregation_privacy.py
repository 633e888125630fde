"""What those who put their knowledge together can work out, by trying it."""

from __future__ import annotations

import itertools

import pytest
from tests.unit.core.aggregation.rounds import Mesh, masked, names, terms_for

from weftmesh.core.aggregation.keys import commitment, self_mask
from weftmesh.core.aggregation.messages import KeyAdvertisement, ShareUpload, UnmaskShares
from weftmesh.core.aggregation.shamir import Interpolation
from weftmesh.core.aggregation.terms import threshold_for

SILENT = "n00"


def shares_of(mesh: Mesh, owner: str) -> dict[int, bytes]:
    """The shares of an owner's self mask, by the number of the contributor that gave them away at unmasking."""
    found = {}
    for number, name in enumerate(names(mesh.count), 1):
        answer = mesh.said.get((name, UnmaskShares))
        if isinstance(answer, UnmaskShares):
            found[number] = next(one.share for one in answer.self_mask_shares if one.owner == owner)
    return found


@pytest.mark.parametrize("count", [3, 5, 10])
def test_shares_rebuild_a_self_mask_from_the_threshold_on_and_not_before(count: int) -> None:
    mesh = Mesh(count)
    mesh.run()
    terms, shares = terms_for(count), shares_of(mesh, SILENT)
    advertised = mesh.said[SILENT, KeyAdvertisement]
    assert isinstance(advertised, KeyAdvertisement)

    def rebuilds(numbers: tuple[int, ...]) -> bool:
        secret = Interpolation(numbers).combine([shares[number] for number in numbers])
        return secret is not None and commitment(terms, SILENT, secret) == advertised.self_mask_commitment

    threshold = threshold_for(count)
    assert all(rebuilds(some) for some in itertools.islice(itertools.combinations(shares, threshold), 20))
    assert not any(rebuilds(some) for some in itertools.islice(itertools.combinations(shares, threshold - 1), 20))


def test_a_vector_stays_hidden_when_all_its_pair_masks_are_known() -> None:
    """What the self mask is for: a vector that comes after its sender was counted as dead."""
    mesh = Mesh(5)
    mesh.run()
    own, *pairs = mesh.masks[SILENT]
    undone = masked(mesh.vectors[SILENT], [type(mask)(-mask.sign, mask.seed) for mask in pairs])
    assert undone != mesh.values[SILENT]
    assert masked(undone, [type(own)(-own.sign, own.seed)]) == mesh.values[SILENT]


def test_two_rounds_mask_the_same_vector_differently() -> None:
    mesh = Mesh(3)
    mesh.run()
    first = dict(mesh.vectors), {mask.seed for masks in mesh.masks.values() for mask in masks}
    mesh.run(terms_for(3, round_number=2, base_version=8))
    seeds = {mask.seed for masks in mesh.masks.values() for mask in masks}
    assert not first[1] & seeds
    assert all(first[0][name] != vector for name, vector in mesh.vectors.items())


def test_a_share_is_readable_by_its_receiver_only() -> None:
    mesh = Mesh(4)
    mesh.run()
    uploads = [mesh.said[name, ShareUpload] for name in names(4)]
    sealed = [one.sealed for upload in uploads if isinstance(upload, ShareUpload) for one in upload.shares]
    assert len(set(sealed)) == len(sealed) == 12
    open_shares = {share for owner in names(4) for share in shares_of(mesh, owner).values()}
    assert not any(share in text for share in open_shares for text in sealed)


def test_a_self_mask_is_bound_to_the_roster() -> None:
    assert self_mask(bytes(32), bytes(32), SILENT) != self_mask(bytes(32), bytes([1] * 32), SILENT)
