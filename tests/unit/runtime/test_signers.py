"""A rotation may be cut short between any two files: whoever reads them again goes on where it stood."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_der, to_pem
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.signers import Signers
from weftmesh.runtime.identity.store import IdentityStore

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> IdentityStore:
    store = IdentityStore(tmp_path / "identity")
    authority = Authority.create("lab", now=NOW)
    store.save_authority(authority)
    key = make_key()
    certificate = authority.issue(make_signing_request(key, "n1"), "n1", now=NOW)
    store.save(
        IdentityMaterial.assemble(
            authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
        )
    )
    return store


def test_a_coming_authority_is_made_once_and_signs_when_it_is_told_to(store: IdentityStore) -> None:
    signers = Signers(store)
    coming = signers.prepare()
    assert Signers(store).prepare().pin == coming.pin
    assert signers.pin == store.load_authority().pin != coming.pin
    assert signers.follow(coming.pin)
    assert not signers.follow(coming.pin)
    material = store.load()
    both = material.trusting([*material.trusted.values(), coming.certificate_der])
    renewed = both.renewed(to_der(signers.issue(both.signing_request(), "n1", now=NOW)))
    assert renewed.authority_sha256 == coming.pin
    assert both.authority_sha256 == material.authority_sha256


def test_a_node_without_the_key_of_the_issuing_authority_says_so(store: IdentityStore) -> None:
    with pytest.raises(PreconditionError, match=r"ca-next\.key"):
        Signers(store).follow("0" * 64)


def test_nobody_is_to_issue_whose_key_is_lost(store: IdentityStore) -> None:
    signers = Signers(store)
    coming = signers.prepare()
    signers.check_held(coming.pin)
    signers.abandon()
    with pytest.raises(PreconditionError, match="rotate-ca abandon"):
        signers.check_held(coming.pin)
    signers.check_held(signers.pin)


@pytest.mark.parametrize(
    ("bundle_written", "keys_exchanged"), [(True, True), (False, True), (True, False), (False, False)]
)
def test_the_last_step_may_be_cut_short_between_its_files(
    store: IdentityStore, bundle_written: bool, keys_exchanged: bool
) -> None:
    signers = Signers(store)
    coming = signers.prepare()
    signers.follow(coming.pin)
    material = store.load()
    both = material.trusting([*material.trusted.values(), coming.certificate_der])
    renewed = both.renewed(to_der(signers.issue(both.signing_request(), "n1", now=NOW)))
    store.save(renewed)
    if bundle_written:
        store.save_trusted(renewed.trusting([coming.certificate_der]))
    if keys_exchanged:
        (store.directory / "ca-next.key").replace(store.directory / "ca.key")
    again = Signers(store)  # after the power went
    assert again.follow(coming.pin) == (not bundle_written and not keys_exchanged)
    assert again.pin == coming.pin
    again.settle()
    assert store.load_authority().pin == coming.pin
    assert store.load().serial == renewed.serial


def test_what_an_earlier_rotation_left_behind_stops_no_later_one(store: IdentityStore) -> None:
    signers = Signers(store)
    left = signers.prepare().certificate_pem
    signers.abandon()
    (store.directory / "ca-next.pem").write_bytes(left)  # its end was cut short too
    with files_of_at_most(400), pytest.raises(OSError, match="too large"):
        signers.prepare()  # the disk takes the key, and not the certificate
    coming = signers.prepare()
    assert Signers(store).prepare().pin == coming.pin


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """A disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_the_last_step_the_former_key_is_gone(store: IdentityStore) -> None:
    signers = Signers(store)
    former_key = (store.directory / "ca.key").read_bytes()
    signers.follow(signers.prepare().pin)
    signers.settle()
    assert not list(store.directory.glob("ca-next*"))
    assert former_key not in [path.read_bytes() for path in store.directory.iterdir()]


def test_a_coming_authority_that_was_given_up_is_deleted_and_the_next_one_is_another(store: IdentityStore) -> None:
    signers = Signers(store)
    coming = signers.prepare()
    signers.abandon()
    assert not list(store.directory.glob("ca-next*"))
    assert signers.prepare().pin != coming.pin
