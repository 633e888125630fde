"""How a data directory becomes a node's: by founding a mesh, or by joining one. node.json is written last."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from weftmesh.core.errors import (
    AlreadyExistsError,
    DataCorruptionError,
    ForbiddenError,
    InvalidInputError,
    PreconditionError,
)
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.config import Config
from weftmesh.runtime.files import make_private_directory, write_atomic
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificate_files import CertificateFiles
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem, utc_now
from weftmesh.runtime.identity.enrolling import ENROLL_TIMEOUT_S, Seed, enroll
from weftmesh.runtime.identity.join_line import JoinLine
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.runtime.names import check_name

SEEDS_MAX: Final = 64
_NODE_FILE: Final = "node.json"
_SEEDS_FILE: Final = "seeds.json"
_PUBLIC_FILE_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """DATA/node.json: which node of which mesh this directory belongs to; `address` is host:port as others dial it."""

    cluster: str
    node: str
    address: str
    founding: bool
    observer: bool = False
    """It joins to stay an observer."""

    @classmethod
    def load(cls, data_dir: Path) -> Self:
        """Read it.

        Raises:
            PreconditionError: this directory belongs to no node yet, or only this file of one is missing.
            DataCorruptionError: the file is damaged.
        """
        path = data_dir / _NODE_FILE
        try:
            row = _read_json(path)
            cluster, node, address = str(row["cluster"]), str(row["node"]), str(row["address"])
            return cls(cluster, node, address, bool(row["founding"]), bool(row.get("observer", False)))
        except FileNotFoundError as error:
            _refuse_nameless_log(data_dir)
            raise PreconditionError(
                f"{data_dir} belongs to no mesh yet; run `weftmesh init` to found one or `weftmesh join` to join one",
                reason="NOT_A_NODE",
            ) from error
        except (KeyError, TypeError) as error:
            raise DataCorruptionError(f"{path} lacks {error}; restore it from a backup") from error

    def save(self, data_dir: Path) -> None:
        """Write it; from then on the directory is a node's."""
        write_atomic(data_dir / _NODE_FILE, _to_json(asdict(self)), mode=_PUBLIC_FILE_MODE)


def identity_store(data_dir: Path) -> IdentityStore:
    """Where a node keeps its identity."""
    return IdentityStore(data_dir / "identity")


def load_seeds(data_dir: Path) -> tuple[Seed, ...]:
    """Return the members that were known at enrolment; empty where the mesh was founded."""
    path = data_dir / _SEEDS_FILE
    try:
        return tuple(Seed(str(row["name"]), str(row["address"])) for row in _read_json(path))
    except FileNotFoundError:
        return ()
    except (KeyError, TypeError) as error:
        raise DataCorruptionError(f"{path} lacks {error}; restore it from a backup") from error


def found_cluster(config: Config, cluster: str, node_name: str, address: str) -> NodeRecord:
    """Make a mesh of one node, its authority included, unless its certificates come from files.

    Raises:
        AlreadyExistsError: the data directory belongs to a node already.
        InvalidInputError: a name, the address, or a certificate from a file is not acceptable.
    """
    check_name(cluster, what="the cluster")
    check_name(node_name, what="the node")
    split_address(address)
    data_dir = config.node.data_dir
    _refuse_second_node(data_dir)
    now = utc_now()
    if config.tls.from_files:
        material = CertificateFiles.of(config.tls, os.environ).load_for(node_name, cluster, now)
        return _settle(data_dir, material, NodeRecord(cluster, node_name, address, founding=True))
    make_private_directory(data_dir)
    authority = Authority.create(cluster, now=now)
    key = make_key()
    certificate = authority.issue(make_signing_request(key, node_name), node_name, now=now)
    store = identity_store(data_dir)
    store.save_authority(authority)
    store.save(
        IdentityMaterial.assemble(
            authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
        )
    )
    record = NodeRecord(cluster, node_name, address, founding=True)
    record.save(data_dir)
    return record


async def join_cluster(
    config: Config,
    line: JoinLine,
    node_name: str,
    address: str,
    *,
    observer: bool = False,
    again: bool = False,
    timeout_s: float = ENROLL_TIMEOUT_S,
) -> NodeRecord:
    """Enroll with a join line and become a node; the mesh takes it in when the daemon starts.

    A node that was away until its certificate expired cannot renew it any more: it joins again, with a token made for
    its name, and keeps everything else. With `again` so does one whose certificate was revoked, or whose mesh has
    another authority by now: the line says which, and whoever pastes it vouches for it.

    Raises:
        AlreadyExistsError: the data directory belongs to a node already; the token is not used up.
        ForbiddenError: the line is of another mesh.
        WeftmeshError: as `enroll` does.
    """
    data_dir = config.node.data_dir
    store = identity_store(data_dir)
    check_name(node_name, what="the node")
    split_address(address)
    present = _returning_node(data_dir, node_name, again=again)
    if present is None:
        _refuse_second_node(data_dir)
    elif not again and line.authority_sha256 not in store.load().trusted:
        raise ForbiddenError(
            f"this line is for another mesh than {present.cluster!r}; if that mesh has a new authority since this node "
            "was there, add --again",
            reason="AUTHORITY_MISMATCH",
        )
    enrolled = await enroll(line, node_name, keeps_log=present is not None, timeout_s=timeout_s)
    if present is not None and enrolled.material.cluster != present.cluster:
        raise ForbiddenError(
            f"this line is for mesh {enrolled.material.cluster!r}, this node belongs to {present.cluster!r}; nothing "
            "was changed here",
            reason="AUTHORITY_MISMATCH",
        )
    make_private_directory(data_dir)
    store.save(enrolled.material)
    _save_seeds(data_dir, enrolled.seeds)
    record = present or NodeRecord(enrolled.material.cluster, node_name, address, founding=False, observer=observer)
    record.save(data_dir)
    return record


def join_with_files(config: Config, seed: Seed, address: str, *, observer: bool = False) -> NodeRecord:
    """Become a node by a certificate that was issued elsewhere; `seed`, where a token was made for it, takes it in.

    Raises:
        AlreadyExistsError: the data directory belongs to a node already.
        InvalidInputError: the certificate cannot be used, or is not for this node's name.
        PreconditionError: certificates do not come from files here.
    """
    if not config.tls.from_files:
        raise PreconditionError(
            'this line is for nodes whose certificates come from files: set [tls] mode = "files", cert_file, key_file '
            "and ca_file in the configuration; or use the line of a mesh with an authority of its own",
            reason="NOT_FROM_FILES",
        )
    data_dir, node_name = config.node.data_dir, config.node.name
    split_address(address)
    _refuse_second_node(data_dir)
    material = CertificateFiles.of(config.tls, os.environ).load(utc_now())
    if material.node != node_name:
        raise InvalidInputError(
            f"{config.tls.cert_file} is the certificate of {material.node!r}, and this node is {node_name!r} ([node] "
            "name); one of both has to change",
            reason="CERTIFICATE_INVALID",
        )
    make_private_directory(data_dir)
    _save_seeds(data_dir, [seed])
    record = NodeRecord(material.cluster, node_name, address, founding=False, observer=observer)
    return _settle(data_dir, material, record)


def _settle(data_dir: Path, material: IdentityMaterial, record: NodeRecord) -> NodeRecord:
    make_private_directory(data_dir)
    identity_store(data_dir).save(material)
    record.save(data_dir)
    return record


def _returning_node(data_dir: Path, node_name: str, *, again: bool) -> NodeRecord | None:
    """Return the record of the node `node_name` if this directory is its own and it needs a new certificate."""
    if not (data_dir / _NODE_FILE).exists():
        return None
    present = NodeRecord.load(data_dir)
    if present.node != node_name:
        return None
    return present if again or utc_now() >= identity_store(data_dir).load().not_after else None


def _refuse_second_node(data_dir: Path) -> None:
    if (data_dir / _NODE_FILE).exists():
        present = NodeRecord.load(data_dir)
        raise AlreadyExistsError(
            f"{data_dir} belongs to node {present.node!r} of mesh {present.cluster!r}; run `weftmesh leave`"
            " and then remove that directory, or set [node] data_dir to another one",
            reason="ALREADY_A_NODE",
        )
    _refuse_nameless_log(data_dir)


def _refuse_nameless_log(data_dir: Path) -> None:
    """A node that lost its record has its log, its key and perhaps the authority's, which nothing may write over."""
    if any((data_dir / "mesh" / "wal").glob("*")):
        raise PreconditionError(
            f"{data_dir / _NODE_FILE} is missing, and the log of a node is there: restore the file, or write it anew "
            '({"cluster": NAME, "node": NAME, "address": "HOST:PORT", "founding": true where the mesh was founded}). '
            f"To begin with another node, move {data_dir} away",
            reason="NODE_RECORD_MISSING",
        )


def _save_seeds(data_dir: Path, seeds: Sequence[Seed]) -> None:
    rows = [asdict(seed) for seed in seeds[:SEEDS_MAX]]
    write_atomic(data_dir / _SEEDS_FILE, _to_json(rows), mode=_PUBLIC_FILE_MODE)


def _to_json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataCorruptionError(f"{path} is not JSON ({error}); restore it from a backup") from error
