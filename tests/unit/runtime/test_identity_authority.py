from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import (
    common_name,
    key_to_pem,
    make_key,
    make_signing_request,
    node_of,
    split_node_uri,
    to_der,
    to_pem,
)
from weftmesh.runtime.identity.material import IdentityMaterial

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("lab", now=NOW)


def alternative_names(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in extension.value]


def request_der(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *names: x509.GeneralName, subject: str = "n"
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_node_certificate_names_the_node_for_seven_days(authority: Authority) -> None:
    certificate = authority.issue(make_signing_request(make_key(), "n1"), "n1", now=NOW)

    assert certificate.subject == common_name("n1")
    assert alternative_names(certificate) == ["n1.lab.weftmesh", "spiffe://lab/node/n1"]
    assert node_of(certificate) == ("n1", "lab")
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=7)
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_what_a_request_says_of_itself_is_ignored(authority: Authority) -> None:
    wishes = request_der(make_key(), x509.DNSName("n9.lab.weftmesh"), subject="n9")

    certificate = authority.issue(wishes, "n1", now=NOW)

    assert certificate.subject == common_name("n1")
    assert alternative_names(certificate) == ["n1.lab.weftmesh", "spiffe://lab/node/n1"]


def forged() -> bytes:
    """A request whose signature is of other bytes than those it carries."""
    return request_der(make_key()).replace(b"\x0c\x01n", b"\x0c\x01m")


@pytest.mark.parametrize(
    ("signing_request", "said"),
    [
        (b"", "not PKCS #10"),
        (b"\x30\x03\x02\x01\x00", "not PKCS #10"),
        (bytes(8193), "exceeds 8192 bytes"),
        (forged(), "not signed by its own key"),
        (request_der(rsa.generate_private_key(65537, 2048)), "must be ECDSA on P-256"),
        (request_der(ec.generate_private_key(ec.SECP384R1())), "must be ECDSA on P-256"),
    ],
)
def test_a_bad_signing_request_is_refused(authority: Authority, signing_request: bytes, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        authority.issue(signing_request, "n1", now=NOW)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "ä", "a/b", "a" * 64, "a\n"])
def test_a_name_that_is_no_dns_label_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(InvalidInputError, match="not a valid name"):
        authority.issue(make_signing_request(make_key(), "n1"), name, now=NOW)


def test_an_authority_survives_being_written_down(authority: Authority) -> None:
    again = Authority.load(authority.certificate_pem, authority.key_pem)

    assert (again.cluster, again.pin) == ("lab", authority.pin)
    with pytest.raises(DataCorruptionError, match="does not belong"):
        Authority.load(authority.certificate_pem, Authority.create("lab", now=NOW).key_pem)


@pytest.mark.parametrize(
    "uri", ["spiffe://lab/node/", "spiffe://lab/x", "https://lab/node/n1", "lab/node/n1", "spiffe://Lab/node/n1", ""]
)
def test_other_uris_name_no_node(uri: str) -> None:
    assert split_node_uri(uri) is None


def identity(authority: Authority, node: str = "n1") -> IdentityMaterial:
    key = make_key()
    certificate = authority.issue(make_signing_request(key, node), node, now=NOW)
    return IdentityMaterial.assemble(
        authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
    )


def test_a_renewed_identity_keeps_its_key_and_name(authority: Authority) -> None:
    before = identity(authority)

    after = before.renewed(to_der(authority.issue(before.signing_request(), "n1", now=NOW + timedelta(days=4))))

    assert (after.node, after.cluster, after.key_pem) == ("n1", "lab", before.key_pem)
    assert after.not_after == NOW + timedelta(days=11)


def test_an_identity_takes_no_certificate_that_is_not_its_own(authority: Authority) -> None:
    mine = identity(authority)
    stranger = Authority.create("lab", now=NOW)

    with pytest.raises(InvalidInputError, match="names 'n2'"):
        mine.renewed(to_der(authority.issue(mine.signing_request(), "n2", now=NOW)))
    with pytest.raises(DataCorruptionError, match="not issued by"):
        mine.renewed(to_der(stranger.issue(mine.signing_request(), "n1", now=NOW)))
    with pytest.raises(DataCorruptionError, match=r"node\.key does not belong"):
        mine.renewed(to_der(authority.issue(make_signing_request(make_key(), "n1"), "n1", now=NOW)))
    with pytest.raises(InvalidInputError, match="no certificate"):
        mine.renewed(b"nonsense")


def test_secrets_are_not_printed(authority: Authority) -> None:
    assert "PRIVATE" not in repr(identity(authority))
