"""Faults that are planted on one node: doctor names each with what it measured, and what it proposes mends it."""

from __future__ import annotations

import grp
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from tests.faults import needs
from tests.faults.network import run
from tests.faults.preloading import compiled
from tests.integration.bare_nodes import bare_node
from tests.integration.examination import Surroundings, fixes, own_etc, surroundings

from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.founding import found_cluster

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

DISK_MIB = 96
BALLAST_BYTES = 64 << 20
SLOW_SYNC_MS = 200
WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root that may not read what belongs to others, as any other user may not."""
NAME = "alpha.weftmesh-doctor.test"


@pytest.fixture
def alpha(tmp_path: Path) -> DevNode:
    """A node that has founded its mesh and does not run."""
    return founded(bare_node(tmp_path, "alpha"))


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Surroundings]:
    async with surroundings() as made:
        yield made


def founded(node: DevNode, address: str = "") -> DevNode:
    config = load_config(node.config_path, environment={})
    found_cluster(config, "test", node.name, address or node.listen)
    return node


def rewrite(old: str, new: str) -> Callable[[DevNode], None]:
    def plant(node: DevNode) -> None:
        text = node.config_path.read_text()
        assert old in text
        node.config_path.write_text(text.replace(old, new))

    return plant


def mode(name: str, bits: int) -> Callable[[DevNode], None]:
    return lambda node: (node.directory / name).chmod(bits)


@pytest.mark.parametrize(
    ("plant", "check", "summary", "evidence"),
    [
        pytest.param(rewrite("\nlisten =", "\nlisen ="), "configuration", "[mesh] lisen", "unknown key", id="key"),
        pytest.param(
            rewrite("[raft]", "[rafft]"),
            "configuration",
            "[rafft]",
            "unknown section",
            id="section",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            rewrite("fsync = true", 'fsync = "on"'),
            "configuration",
            "fsync",
            "true or false",
            id="value",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            rewrite("fsync = true", "fsync = true true"),
            "configuration",
            "the file",
            "is not TOML",
            id="syntax",
            marks=pytest.mark.slow,
        ),
        pytest.param(mode("weftmesh.toml", 0o666), "configuration", "changed by others", "mode 0666", id="config-mode"),
        pytest.param(mode("data/identity/node.key", 0o644), "credentials", "node.key", "mode 0644", id="key-mode"),
        pytest.param(
            mode("data/identity", 0o755),
            "credentials",
            "identity",
            "mode 0755",
            id="identity-mode",
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_wrong_files_are_named_and_mended(
    alpha: DevNode,
    here: Surroundings,
    plant: Callable[[DevNode], None],
    check: str,
    summary: str,
    evidence: str,
) -> None:
    plant(alpha)

    found = (await here.examine(alpha)).only(check, summary)
    assert evidence in found["evidence"]
    for command in fixes(found):
        await here.mend(alpha, command)

    assert fixes(found)
    assert not (await here.examine(alpha)).bad(check, summary)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_file_of_another_owner_is_given_back(alpha: DevNode, here: Surroundings) -> None:
    certificate = alpha.directory / "data/identity/node.pem"
    os.chown(certificate, 65534, 65534)

    found = (await here.examine(alpha)).only("credentials", "belongs to somebody else")
    await here.mend(alpha, *fixes(found))

    assert certificate.stat().st_uid == alpha.directory.stat().st_uid
    assert not (await here.examine(alpha)).bad("credentials")


async def test_who_took_the_port_is_named_and_stopped(alpha: DevNode, here: Surroundings) -> None:
    host, _, port = alpha.listen.rpartition(":")
    with squatting(port, host) as squatter:
        found = (await here.examine(alpha)).only("ports")
        assert f"process {squatter.pid} listens there" in found["evidence"]
        assert "http.server" in found["evidence"]
        await here.mend(alpha, *fixes(found))
        squatter.wait()

    assert not (await here.examine(alpha)).bad("ports")


@pytest.mark.slow
@pytest.mark.skipif(bool(needs.small_disk()), reason=needs.small_disk() or "met")
async def test_a_full_disk_is_measured_and_enlarged(tmp_path: Path, here: Surroundings) -> None:
    node = bare_node(tmp_path, "alpha")
    data_dir = node.directory / "data"
    data_dir.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "weftmesh", str(data_dir))
    try:
        founded(node)
        (data_dir / "ballast").write_bytes(bytes(BALLAST_BYTES))

        found = (await here.examine(node)).only("disk", "little room")
        assert found["severity"] == "failure"
        assert f"of {DISK_MIB}.0 MiB free on {data_dir} (tmpfs)" in found["evidence"]
        await here.mend(node, *fixes(found))

        assert not (await here.examine(node)).bad("disk", "little room")
    finally:
        run("umount", "--lazy", str(data_dir))


@pytest.mark.slow
@pytest.mark.skipif(bool(needs.small_disk()), reason=needs.small_disk() or "met")
async def test_a_disk_that_takes_no_writes_is_told_and_made_to(tmp_path: Path, here: Surroundings) -> None:
    node = bare_node(tmp_path, "alpha")
    data_dir = node.directory / "data"
    data_dir.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1g,mode=0700", "weftmesh", str(data_dir))
    try:
        founded(node)
        run("mount", "-o", "remount,ro", str(data_dir))

        found = (await here.examine(node)).only("disk", "no writes")
        assert "Read-only file system" in found["evidence"]
        await here.mend(node, *fixes(found))

        assert not (await here.examine(node)).bad("disk", "no writes")
    finally:
        run("umount", "--lazy", str(data_dir))


@pytest.mark.slow
@pytest.mark.skipif(bool(needs.program("cc")()), reason=needs.program("cc")() or "met")
async def test_a_slow_disk_is_measured_and_borne_with(alpha: DevNode, here: Surroundings, tmp_path: Path) -> None:
    here.environment = {"LD_PRELOAD": str(compiled("slow_sync", tmp_path)), "SLOW_SYNC_MS": str(SLOW_SYNC_MS)}

    found = (await here.examine(alpha)).only("disk", "slow")
    assert "the election timeout is 1000 ms" in found["evidence"]
    for command in fixes(found):
        await here.mend(alpha, command)

    assert not (await here.examine(alpha)).bad("disk")
    low_ms, _ = load_config(alpha.config_path, environment={}).raft.election_timeout_ms
    assert low_ms >= 20 * SLOW_SYNC_MS


async def test_the_socket_of_a_dead_agent_is_told_from_one_that_answers(alpha: DevNode, here: Surroundings) -> None:
    alpha.start()
    await alpha.ready()
    await here.healthy(alpha)
    alpha.send_signal(signal.SIGKILL)
    await alpha.stop()

    found = (await here.examine(alpha)).only("socket")
    assert "died" in found["summary"]
    assert "Connection refused" in found["evidence"]
    await here.mend(alpha, *fixes(found))

    assert (await here.healthy(alpha)).code in (ExitCode.OK, ExitCode.WARNINGS)


@pytest.mark.slow
async def test_an_agent_that_hangs_is_named_and_replaced(alpha: DevNode, here: Surroundings) -> None:
    alpha.start()
    try:
        await alpha.ready()
        alpha.send_signal(signal.SIGSTOP)

        examined = await here.examine(alpha)
        found = examined.only("socket")
        assert f"process {alpha.pid} has" in found["evidence"]
        assert not examined.bad("ports")  # the port is its own, nobody is to be sent away
        for command in fixes(found):
            await here.mend(alpha, command)

        await here.healthy(alpha)
    finally:
        await alpha.stop()


@pytest.mark.slow
async def test_an_address_of_another_machine_is_not_listened_on(alpha: DevNode, here: Surroundings) -> None:
    rewrite(f'listen = "{alpha.listen}"', f'listen = "192.0.2.7:{alpha.listen.rpartition(":")[2]}"')(alpha)

    found = (await here.examine(alpha)).only("ports")
    assert "192.0.2.7" in found["evidence"]
    assert "Cannot assign requested address" in found["evidence"]
    await here.mend(alpha, *fixes(found))

    assert not (await here.examine(alpha)).bad("ports")


@pytest.mark.slow
async def test_a_socket_for_everybody_is_closed_again(alpha: DevNode, here: Surroundings) -> None:
    alpha.start()
    try:
        await alpha.ready()
        alpha.socket.chmod(0o666)

        found = (await here.examine(alpha)).only("socket")
        assert "mode 0666" in found["evidence"]
        await here.mend(alpha, *fixes(found))

        await here.healthy(alpha)
    finally:
        await alpha.stop()


@pytest.mark.slow
@pytest.mark.skipif(bool(needs.small_disk()), reason=needs.small_disk() or "met")
async def test_a_name_that_nobody_knows_is_given_an_address(tmp_path: Path) -> None:
    node = bare_node(tmp_path, "alpha")
    address = f"{NAME}:{node.listen.rpartition(':')[2]}"
    rewrite(f'advertise = "{node.listen}"', f'advertise = "{address}"')(node)
    founded(node, address)
    async with surroundings(prefix=own_etc(tmp_path)) as here:
        found = (await here.examine(node)).only("dns")
        assert NAME in found["summary"]
        assert found["evidence"]
        await here.mend(node, *fixes(found))

        assert not (await here.examine(node)).bad("dns")


@pytest.mark.slow
@pytest.mark.skipif(bool(needs.small_disk()), reason=needs.small_disk() or "met")
async def test_a_group_that_is_missing_is_made_and_the_agent_starts(alpha: DevNode, tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    rewrite(f'group = "{group}"', 'group = "weftmesh-doctor"')(alpha)
    async with surroundings(prefix=own_etc(tmp_path)) as here:
        (alpha.directory / "run").mkdir(mode=0o700)
        found = (await here.examine(alpha)).only("socket", "no group")
        assert "weftmesh-doctor" in found["evidence"]
        await here.mend(alpha, *fixes(found))

        stopped = (await here.examine(alpha)).only("socket", "does not run")
        await here.mend(alpha, *fixes(stopped))
        await here.healthy(alpha)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_what_this_user_may_not_see_is_unknown_and_told_apart_from_what_is_wrong(alpha: DevNode) -> None:
    alpha.start()
    try:
        await alpha.ready()
        run("chown", "--recursive", "65534:65534", str(alpha.directory / "data"))
        async with surroundings(prefix=WITHOUT_PRIVILEGE) as here:
            found = await here.examine(alpha)
    finally:
        await alpha.stop()
    unknown = {one["check"] for one in found.findings if one["severity"] == "unknown"}
    assert found.code == ExitCode.COULD_NOT_RUN
    assert {"credentials", "disk", "certificates"} <= unknown
    assert all("run the command as root" in one["evidence"] for one in found.bad("credentials"))


async def test_before_a_node_is_one_doctor_says_how_it_becomes_one(tmp_path: Path, here: Surroundings) -> None:
    node = bare_node(tmp_path, "alpha")

    found = (await here.examine(node)).only("credentials", "not a node yet")
    await here.mend(node, *fixes(found))

    assert not (await here.examine(node)).bad("credentials")


@pytest.mark.slow
async def test_a_member_that_takes_calls_and_never_answers_ends_in_time(alpha: DevNode, here: Surroundings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        seeds = alpha.directory / "data/seeds.json"
        seeds.write_text(json.dumps([{"name": "beta", "address": address}]))

        found = (await here.examine(alpha)).only("peers", "beta")

    assert f"{address}: tls: no answer in 2 s; connected in" in found["evidence"]


@contextmanager
def squatting(port: str, host: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on a port."""
    command = [sys.executable, "-u", "-m", "http.server", port, "--bind", host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it says so when it listens
            yield process
        finally:
            process.kill()
