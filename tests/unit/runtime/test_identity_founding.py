from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.core.errors import AlreadyExistsError, DataCorruptionError, InvalidInputError, PreconditionError
from weftmesh.runtime.config import Config, load_config
from weftmesh.runtime.identity.founding import NodeRecord, found_cluster, identity_store, load_seeds


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(None, environment={"WEFTMESH_NODE_DATA_DIR": str(tmp_path / "data")}, host="n1")


def test_a_founder_has_an_identity_and_the_authority(config: Config) -> None:
    record = found_cluster(config, "lab", "n1", "127.0.0.1:7450")

    data_dir = config.node.data_dir
    store = identity_store(data_dir)
    assert NodeRecord.load(data_dir) == record == NodeRecord("lab", "n1", "127.0.0.1:7450", founding=True)
    assert (store.load().node, store.load().cluster) == ("n1", "lab")
    assert store.has_authority
    assert store.load().authority_sha256 == store.load_authority().pin
    assert load_seeds(data_dir) == ()


def test_keys_are_private_and_refused_when_they_are_not(config: Config) -> None:
    found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    store = identity_store(config.node.data_dir)

    for name in ("node.key", "ca.key"):
        assert (store.directory / name).stat().st_mode & 0o777 == 0o600
        (store.directory / name).chmod(0o640)
    with pytest.raises(PreconditionError, match=r"chmod 600 .*node\.key"):
        store.load()
    with pytest.raises(PreconditionError, match=r"chmod 600 .*ca\.key"):
        store.load_authority()


def test_a_directory_belongs_to_one_node(config: Config) -> None:
    found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    before = identity_store(config.node.data_dir).load()

    with pytest.raises(AlreadyExistsError, match="belongs to node 'n1' of mesh 'lab'; run `weftmesh leave`"):
        found_cluster(config, "other", "n2", "127.0.0.1:7450")

    assert identity_store(config.node.data_dir).load() == before


def test_founding_that_was_cut_short_can_be_repeated(config: Config) -> None:
    found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    (config.node.data_dir / "node.json").unlink()

    found_cluster(config, "lab", "n1", "127.0.0.1:7450")

    store = identity_store(config.node.data_dir)
    assert store.load().authority_sha256 == store.load_authority().pin


def test_a_node_that_ran_and_lost_its_record_is_not_written_over(config: Config) -> None:
    found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    data_dir = config.node.data_dir
    (data_dir / "mesh" / "wal").mkdir(parents=True)
    (data_dir / "mesh" / "wal" / "0000000000000001.wal").touch()
    (data_dir / "node.json").unlink()
    before = identity_store(data_dir).load_authority().pin

    with pytest.raises(PreconditionError, match="restore the file"):
        found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    with pytest.raises(PreconditionError, match="restore the file"):
        NodeRecord.load(data_dir)

    assert identity_store(data_dir).load_authority().pin == before


@pytest.mark.parametrize(
    ("cluster", "node", "address"), [("Lab", "n1", "h:1"), ("lab", "n_1", "h:1"), ("lab", "n1", "h")]
)
def test_nothing_is_made_of_a_bad_name(config: Config, cluster: str, node: str, address: str) -> None:
    with pytest.raises(InvalidInputError):
        found_cluster(config, cluster, node, address)

    assert not config.node.data_dir.exists()


def test_a_directory_without_a_node_says_how_to_get_one(config: Config) -> None:
    with pytest.raises(PreconditionError, match="weftmesh init"):
        NodeRecord.load(config.node.data_dir)
    with pytest.raises(PreconditionError, match="weftmesh join"):
        identity_store(config.node.data_dir).load()


@pytest.mark.parametrize("content", ["", "{}", "[]"])
def test_a_damaged_record_is_refused(config: Config, content: str) -> None:
    found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    (config.node.data_dir / "node.json").write_text(content)

    with pytest.raises(DataCorruptionError, match=r"node\.json"):
        NodeRecord.load(config.node.data_dir)


def test_parts_of_different_identities_are_refused(config: Config, tmp_path: Path) -> None:
    found_cluster(config, "lab", "n1", "127.0.0.1:7450")
    other = load_config(None, environment={"WEFTMESH_NODE_DATA_DIR": str(tmp_path / "other")}, host="n2")
    found_cluster(other, "lab", "n1", "127.0.0.1:7450")
    store, foreign = identity_store(config.node.data_dir), identity_store(other.node.data_dir)

    (store.directory / "node.key").write_bytes((foreign.directory / "node.key").read_bytes())

    with pytest.raises(DataCorruptionError, match=r"node\.key does not belong to node\.pem"):
        store.load()
