"""Each certificate that a mesh could not use is refused by name, with what is needed; a good one is taken over live."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.fakes.company import BOTH, DAY, Asked, Company, key_pem, pem, put_files
from tests.fakes.wall_clock import WallClock

from weftmesh.agent.enrolment.file_watch import FileWatch
from weftmesh.agent.enrolment.files_registry import FilesRegistry
from weftmesh.core.errors import ForbiddenError, InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import TlsConfig, load_config
from weftmesh.runtime.identity.certificate_files import CertificateFiles, present_identity
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.founding import NodeRecord, found_cluster, identity_store, join_with_files, load_seeds
from weftmesh.runtime.identity.join_line import SeedLine
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.runtime.identity.tokens import TokenStore

CLOCK = WallClock()
COMPANY = Company(now=CLOCK.now)


def put(directory: Path, asked: Asked | None = None, company: Company = COMPANY) -> CertificateFiles:
    return put_files(directory, asked or Asked(), company)


def test_a_chain_over_an_authority_in_between_is_taken(tmp_path: Path) -> None:
    material = put(tmp_path).load_for("n1", "lab", CLOCK.now)
    assert (material.node, material.cluster) == ("n1", "lab")
    assert list(material.trusted) == [material.authority_sha256]


def test_what_has_no_extended_key_usage_may_be_used_for_anything(tmp_path: Path) -> None:
    assert put(tmp_path, Asked(uses=())).load_for("n1", "lab", CLOCK.now).node == "n1"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(ends=-timedelta(hours=1)), "cert.pem: CN=n1 has expired"),
        (Asked(begins=DAY), "cert.pem: CN=n1 is not in force yet"),
        (Asked(uris=("spiffe://lab/node/n2",), dns=("n2.lab.weftmesh",)), "certificate of 'n2' in mesh 'lab'"),
        (Asked(uris=("spiffe://hub/node/n1",), dns=("n1.hub.weftmesh",)), "it needs the URI spiffe://lab/node/n1"),
        (Asked(uris=()), "needs one subject alternative name URI:spiffe://CLUSTER/node/NAME"),
        (Asked(uris=("spiffe://lab/node/n1", "spiffe://lab/node/n2")), "does not say whose it is"),
        (Asked(uris=(), dns=()), "does not say whose it is"),
        (Asked(dns=("n1.example.org",)), "lacks the subject alternative name DNS:n1.lab.weftmesh"),
        (Asked(uses=BOTH[:1]), "must not be used for clientAuth"),
        (Asked(uses=BOTH[1:]), "must not be used for serverAuth"),
        (Asked(key=rsa.generate_private_key(65537, 2048)), "must be ECDSA on P-256"),
        (Asked(key=ec.generate_private_key(ec.SECP384R1())), "must be ECDSA on P-256"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused_with_what_is_needed(
    asked: Asked, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=told) as refused:
        put(tmp_path, asked).load_for("n1", "lab", CLOCK.now)
    assert refused.value.reason == "CERTIFICATE_INVALID"


def other_key(files: CertificateFiles) -> None:
    files.key.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))


def no_chain(files: CertificateFiles) -> None:
    files.certificate.write_bytes(
        files.certificate.read_bytes().split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    )


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda files: files.certificate.unlink(), "cert.pem cannot be read: No such file"),
        (lambda files: files.key.unlink(), "key.pem cannot be read: No such file"),
        (lambda files: files.certificate.write_bytes(b"x"), "cert.pem holds no certificate; put a PEM file there"),
        (lambda files: files.key.write_bytes(b"x"), "key.pem holds no private key"),
        (lambda files: files.authorities.write_bytes(b""), "ca.pem holds no certificate"),
        (lambda files: files.authorities.write_bytes(b"x" * 300_000), "ca.pem exceeds 262144 bytes"),
        (other_key, "key.pem is not the key of .*cert.pem"),
        (no_chain, "does not lead to an authority in .*ca.pem"),
        (
            lambda files: files.authorities.write_bytes(pem(Company(now=CLOCK.now).root)),
            "does not lead to an authority",
        ),
        (lambda files: files.authorities.write_bytes(files.certificate.read_bytes()), "CN=n1 is no authority"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_by_name(
    spoil: Callable[[CertificateFiles], object], told: str, tmp_path: Path
) -> None:
    files = put(tmp_path)
    spoil(files)
    with pytest.raises(InvalidInputError, match=told):
        files.load_for("n1", "lab", CLOCK.now)


@pytest.mark.parametrize("seed", range(60))
def test_damage_anywhere_is_refused_or_does_no_harm(seed: int, tmp_path: Path) -> None:
    """Parts of a certificate are parsed only when they are looked at, and the library has an error for each."""
    files, dice = put(tmp_path), Random(seed)
    path = (files.certificate, files.key, files.authorities)[seed % 3]
    lines = path.read_bytes().split(b"\n")
    body = next(at for at, line in enumerate(lines) if line.startswith(b"-----END"))
    der = bytearray(b64decode(b"".join(lines[1:body])))
    der[dice.randrange(len(der))] ^= 1 << dice.randrange(8)
    path.write_bytes(b"\n".join([lines[0], b64encode(bytes(der)), *lines[body:]]))
    with suppress(WeftmeshError):
        assert files.load_for("n1", "lab", CLOCK.now).node == "n1"


def test_an_authority_that_has_expired_is_refused(tmp_path: Path) -> None:
    files = put(tmp_path, company=Company(days=2, now=CLOCK.now))
    with pytest.raises(InvalidInputError, match=r"ca\.pem: CN=Company root has expired"):
        files.load_for("n1", "lab", CLOCK.now + 3 * DAY)


def test_a_key_that_others_may_read_is_refused_unless_systemd_looks_after_it(tmp_path: Path) -> None:
    files = put(tmp_path)
    files.key.chmod(0o440)
    with pytest.raises(PreconditionError, match="may be read by others"):
        files.load(CLOCK.now)
    named = TlsConfig("files", *(f"$CREDENTIALS_DIRECTORY/{name}" for name in ("cert.pem", "key.pem", "ca.pem")))
    found = CertificateFiles.of(named, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.load(CLOCK.now).node == "n1"
    with pytest.raises(InvalidInputError, match="LoadCredential="):
        CertificateFiles.of(named, {})


class Watched:
    """A node that follows a set of files; nobody waits."""

    def __init__(self, directory: Path) -> None:
        self.files = put(directory)
        self.identity = NodeIdentity(self.files.load(CLOCK.now))
        self.store = IdentityStore(directory / "identity")
        self.watch = FileWatch(self.files, self.identity, self.store, clock=CLOCK)


async def test_new_files_are_in_force_at_once_and_broken_ones_change_nothing(tmp_path: Path) -> None:
    node = Watched(tmp_path)
    await node.watch.look()
    first = node.identity.material
    assert node.store.load() == first
    assert not await node.watch.look()
    # Exchanged one by one, as anybody does: in between they do not fit.
    asked = Asked()
    node.files.certificate.write_bytes(COMPANY.certify(asked))
    assert not await node.watch.look()
    assert node.identity.material == first
    node.files.key.write_bytes(key_pem(asked.key))
    assert await node.watch.look()
    assert node.identity.material.serial != first.serial
    assert node.store.load() == node.identity.material
    node.files.authorities.write_bytes(pem(COMPANY.root) + pem(Company(now=CLOCK.now).root))
    assert await node.watch.look()
    assert len(node.identity.material.trusted) == 2
    put(tmp_path, Asked(uris=("spiffe://lab/node/n2",), dns=("n2.lab.weftmesh",)))
    assert not await node.watch.look()
    assert node.identity.material.node == "n1"


async def test_files_that_were_refused_are_taken_once_what_was_in_the_way_is_gone(tmp_path: Path) -> None:
    node = Watched(tmp_path)
    await node.watch.look()
    put(tmp_path)
    node.files.key.chmod(0o644)
    assert not await node.watch.look()
    node.files.key.chmod(0o600)
    assert await node.watch.look()
    clock = WallClock()
    node.watch = FileWatch(node.files, node.identity, node.store, clock=clock)
    put(tmp_path, Asked(begins=timedelta(minutes=5)))
    assert not await node.watch.look()
    clock.now += timedelta(minutes=6)
    assert await node.watch.look()
    assert not await node.watch.look()


async def test_a_node_starts_with_its_copy_while_the_files_are_broken(tmp_path: Path) -> None:
    node = Watched(tmp_path)
    await node.watch.look()
    config = TlsConfig("files", str(node.files.certificate), str(node.files.key), str(node.files.authorities))

    def present(now: datetime) -> str:
        return present_identity(config, node.store.load, "n1", "lab", now).serial

    put(tmp_path)
    renewed = node.files.load(CLOCK.now).serial
    assert present(CLOCK.now) == renewed
    node.files.key.unlink()
    assert present(CLOCK.now) == node.store.load().serial
    with pytest.raises(WeftmeshError, match=r"key\.pem cannot be read"):
        present(CLOCK.now + 31 * DAY)


def test_a_mesh_is_founded_and_joined_with_files_alone(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    files = put(tmp_path / "files", company=Company(now=datetime.now(UTC)))
    path = tmp_path / "weftmesh.toml"
    path.write_text(
        f'config_version = 1\n[node]\nname = "n1"\ndata_dir = "{tmp_path}/data"\n[mesh]\nlisten = "127.0.0.1:7450"\n'
        f'[tls]\nmode = "files"\ncert_file = "{files.certificate}"\nkey_file = "{files.key}"\n'
        f'ca_file = "{files.authorities}"\n'
    )
    config = load_config(path, environment={})
    with pytest.raises(InvalidInputError, match="spiffe://hub/node/n1"):
        found_cluster(config, "hub", "n1", "127.0.0.1:7450")
    assert not (tmp_path / "data").exists()
    line = SeedLine.parse("weftmesh join n2@192.0.2.7:7450")
    assert line is not None
    record = join_with_files(config, Seed(line.node, line.address), "127.0.0.1:7450")
    assert record == NodeRecord.load(tmp_path / "data")
    assert (record.cluster, record.founding) == ("lab", False)
    assert load_seeds(tmp_path / "data") == (Seed("n2", "192.0.2.7:7450"),)
    store = identity_store(tmp_path / "data")
    assert not store.has_authority
    assert store.load().node == "n1"
    assert os.stat(store.directory / "node.key").st_mode & 0o777 == 0o600


async def test_a_certificate_of_the_common_authority_lets_nobody_in_unless_a_person_named_the_node(
    tmp_path: Path,
) -> None:
    registry = FilesRegistry(TokenStore(tmp_path / "tokens.json", clock=CLOCK), "n1", "192.0.2.7:7450")
    with pytest.raises(InvalidInputError, match="--for"):
        await registry.create(mesh_pb2.CreateJoinTokenRequest())
    with pytest.raises(ForbiddenError, match="token create --for n2"):
        registry.check_admission("n2")
    made = await registry.create(mesh_pb2.CreateJoinTokenRequest(node_name="n2"))
    assert made.join_command == "weftmesh join n1@192.0.2.7:7450"
    registry.check_admission("n2")
    with pytest.raises(ForbiddenError):
        registry.check_admission("n3")
    await registry.admitted("n2")
    with pytest.raises(ForbiddenError):
        registry.check_admission("n2")
