"""Real servers and channels on loopback: who is let in, and every way in which one is not."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from weftmesh.agent.enrolment.enrolment import TokenRegistry
from weftmesh.agent.enrolment.port import EnrollmentListener
from weftmesh.agent.enrolment.renewal import RenewalServicer, ask_members
from weftmesh.agent.enrolment.service import EnrollmentServicer
from weftmesh.core.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidInputError,
    NodeUnreachableError,
    PreconditionError,
    UnauthenticatedError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import (
    fingerprint,
    key_to_pem,
    make_key,
    make_signing_request,
    node_dns_name,
    to_der,
    to_pem,
    utc_now,
)
from weftmesh.runtime.identity.credentials import (
    NodeIdentity,
    open_channel,
    open_enrollment_channel,
    peer_node,
    server_credentials,
)
from weftmesh.runtime.identity.enrolling import Seed, enroll, offered_chain
from weftmesh.runtime.identity.founding import NodeRecord, identity_store, join_cluster, load_seeds
from weftmesh.runtime.identity.join_line import JoinLine
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.runtime.identity.tokens import TokenStore
from weftmesh.runtime.rpc import ErrorInterceptor, server_options

pytestmark = pytest.mark.integration

CLUSTER = "lab"
SERVER = "n1"
MESSAGE_BYTES_MAX = 65_536
CALL_TIMEOUT_S = 10.0
DAY = timedelta(days=1)


def make_identity(
    authority: Authority, node: str, *, age: timedelta = timedelta(0), lifetime: timedelta = 7 * DAY
) -> NodeIdentity:
    key = make_key()
    certificate = authority.issue(make_signing_request(key, node), node, now=utc_now() - age, lifetime=lifetime)
    material = IdentityMaterial.assemble(
        authority_pem=authority.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
    )
    return NodeIdentity(material)


class WhoAmI(grpc.GenericRpcHandler):
    """Answers any call with the name of the calling node."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if not handler_call_details.method.startswith("/test."):
            return None

        async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return (peer_node(context.auth_context(), CLUSTER) or "nobody").encode()

        return grpc.unary_unary_rpc_method_handler(answer)


async def call(channel: grpc.aio.Channel, payload: bytes = b"") -> str:
    async with channel:
        method: Any = channel.unary_unary("/test.Test/WhoAmI")
        return bytes(await method(payload, timeout=CALL_TIMEOUT_S)).decode()


async def refusal(channel: grpc.aio.Channel, payload: bytes = b"") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, payload)
    return caught.value


class Mesh:
    """One node that has the authority: its mesh port and its enrolment port."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(CLUSTER, now=utc_now())
        self.identity = make_identity(self.authority, SERVER)
        self.tokens = TokenStore(directory / "tokens.json")
        servicer = EnrollmentServicer(
            self.authority, self.tokens, seeds=self.seeds, is_member=lambda node: node == SERVER, failure_delay_s=0
        )
        self.listener = EnrollmentListener("127.0.0.1:0", lambda: "127.0.0.1", self.authority, self.tokens, servicer)
        self.registry = TokenRegistry(self.authority, self.tokens, self.listener)
        self.address = ""

    def seeds(self) -> list[Seed]:
        return [Seed(SERVER, self.address)]

    async def start(self, stack: AsyncExitStack) -> None:
        server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=server_options(MESSAGE_BYTES_MAX))
        server.add_generic_rpc_handlers((WhoAmI(),))
        renewal = RenewalServicer(self.authority, CLUSTER, is_member=lambda node: node in (SERVER, "n2"))
        mesh_pb2_grpc.add_RenewalServiceServicer_to_server(renewal, server)
        self.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', server_credentials(self.identity))}"
        await server.start()
        stack.push_async_callback(server.stop, 0)
        await self.listener.start()
        stack.push_async_callback(self.listener.stop)

    async def join_line(self, **request: Any) -> JoinLine:
        token = await self.registry.create(mesh_pb2.CreateJoinTokenRequest(**request))
        return JoinLine.parse(token.join_command)

    def dial(self, caller: NodeIdentity, node: str = SERVER) -> grpc.aio.Channel:
        return open_channel(caller, node, self.address)


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with AsyncExitStack() as stack:
        mesh = Mesh(tmp_path)
        await mesh.start(stack)
        yield mesh


async def test_a_node_of_the_mesh_is_known_by_its_certificate(mesh: Mesh) -> None:
    assert await call(mesh.dial(make_identity(mesh.authority, "n2"))) == "n2"


async def test_plaintext_is_refused(mesh: Mesh) -> None:
    assert (await refusal(grpc.aio.insecure_channel(mesh.address))).code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_without_a_certificate_is_refused(mesh: Mesh, capfd: pytest.CaptureFixture[str]) -> None:
    options = [("grpc.ssl_target_name_override", node_dns_name(SERVER, CLUSTER))]
    credentials = grpc.ssl_channel_credentials(mesh.authority.certificate_pem)

    error = await refusal(grpc.aio.secure_channel(mesh.address, credentials, options))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("age", "lifetime", "logged"),
    [(2 * DAY, DAY, "certificate has expired"), (-3 * DAY, 7 * DAY, "certificate is not yet valid")],
)
async def test_a_certificate_out_of_its_time_is_refused_and_the_log_says_so(
    mesh: Mesh, capfd: pytest.CaptureFixture[str], age: timedelta, lifetime: timedelta, logged: str
) -> None:
    error = await refusal(mesh.dial(make_identity(mesh.authority, "n2", age=age, lifetime=lifetime)))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert logged in capfd.readouterr().err


async def test_a_client_of_a_foreign_authority_is_refused(mesh: Mesh, capfd: pytest.CaptureFixture[str]) -> None:
    foreign = make_identity(Authority.create(CLUSTER, now=utc_now()), "n2").material
    trusting = replace(foreign, authority_pem=mesh.authority.certificate_pem)

    error = await refusal(mesh.dial(NodeIdentity(trusting)))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Handshake failed" in capfd.readouterr().err


async def test_a_server_of_a_foreign_authority_is_refused(mesh: Mesh) -> None:
    error = await refusal(mesh.dial(make_identity(Authority.create(CLUSTER, now=utc_now()), "n2")))

    assert "handshake failed" in (error.details() or "")


async def test_a_node_that_is_not_the_one_dialled_is_refused(mesh: Mesh) -> None:
    error = await refusal(mesh.dial(make_identity(mesh.authority, "n2"), node="n3"))

    assert "Hostname Verification Check failed" in (error.details() or "")


async def test_the_enrolment_ports_certificate_passes_for_no_node(mesh: Mesh) -> None:
    pair = mesh.authority.issue_enrollment(now=utc_now())
    options = [("grpc.ssl_target_name_override", node_dns_name(SERVER, CLUSTER))]
    credentials = grpc.ssl_channel_credentials(mesh.authority.certificate_pem, pair.key_pem, pair.chain_pem)

    assert (await refusal(grpc.aio.secure_channel(mesh.address, credentials, options))).code() is (
        grpc.StatusCode.UNAVAILABLE
    )


async def test_a_node_passes_for_no_enrolment_port(mesh: Mesh) -> None:
    """Otherwise a member could collect the tokens of others."""
    error = await refusal(open_enrollment_channel(mesh.authority.certificate_pem, mesh.address))

    assert "Hostname Verification Check failed" in (error.details() or "")


async def test_an_oversized_message_is_refused(mesh: Mesh) -> None:
    error = await refusal(mesh.dial(make_identity(mesh.authority, "n2")), bytes(MESSAGE_BYTES_MAX + 1))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def handshake(address: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Let openssl try; it ends at once, because its input does."""
    command = ["openssl", "s_client", "-connect", address, "-alpn", "h2", *options]
    return subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize("port", ["mesh", "enrolment"])
async def test_tls_1_3_is_spoken_and_1_2_is_refused(mesh: Mesh, tmp_path: Path, port: str) -> None:
    await mesh.join_line()
    address = mesh.address if port == "mesh" else mesh.listener.address
    client = make_identity(mesh.authority, "n2").material
    (tmp_path / "key").write_bytes(client.key_pem)
    (tmp_path / "cert").write_bytes(client.certificate_pem)
    certificate = ("-key", str(tmp_path / "key"), "-cert", str(tmp_path / "cert"))

    new = await asyncio.to_thread(handshake, address, "-tls1_3", *certificate)
    old = await asyncio.to_thread(handshake, address, "-tls1_2", *certificate)

    assert b"New, TLSv1.3" in new.stdout
    assert old.returncode != 0
    assert b"New, (NONE)" in old.stdout


async def test_a_renewed_certificate_is_shown_without_a_restart(mesh: Mesh) -> None:
    before = (await asyncio.to_thread(offered_chain, mesh.address, timeout_s=CALL_TIMEOUT_S))[0]
    old = mesh.identity.material
    mesh.identity.replace(old.renewed(to_der(mesh.authority.issue(old.signing_request(), SERVER, now=utc_now()))))

    after = (await asyncio.to_thread(offered_chain, mesh.address, timeout_s=CALL_TIMEOUT_S))[0]

    assert fingerprint(before) != fingerprint(after)
    assert ssl.DER_cert_to_PEM_cert(after).split() == mesh.identity.material.certificate_pem.decode().split()
    assert await call(mesh.dial(make_identity(mesh.authority, "n2"))) == "n2"


async def test_a_member_renews_over_the_mesh_port_and_a_stranger_does_not(mesh: Mesh) -> None:
    member, removed = (make_identity(mesh.authority, node) for node in ("n2", "n3"))

    renewed = member.material.renewed(await ask_members(member, mesh.seeds)(member.material.signing_request()))

    assert renewed.not_after > member.material.not_after - timedelta(minutes=1)
    with pytest.raises(PreconditionError, match="n1: 'n3' is not a member"):
        await ask_members(removed, mesh.seeds)(removed.material.signing_request())


async def test_a_join_line_brings_a_node_in(mesh: Mesh, tmp_path: Path) -> None:
    config = load_config(None, environment={"WEFTMESH_NODE_DATA_DIR": str(tmp_path / "n2")}, host="n2")

    record = await join_cluster(config, await mesh.join_line(), "n2", "127.0.0.1:7450")

    data_dir = config.node.data_dir
    assert record == NodeRecord.load(data_dir) == NodeRecord(CLUSTER, "n2", "127.0.0.1:7450", founding=False)
    assert load_seeds(data_dir) == (Seed(SERVER, mesh.address),)
    assert await call(mesh.dial(NodeIdentity(identity_store(data_dir).load()))) == "n2"
    with pytest.raises(AlreadyExistsError, match="belongs to node 'n2'"):
        await join_cluster(config, await mesh.join_line(), "n2", "127.0.0.1:7450")


async def test_a_node_whose_certificate_has_expired_joins_again_under_its_name(mesh: Mesh, tmp_path: Path) -> None:
    config = load_config(None, environment={"WEFTMESH_NODE_DATA_DIR": str(tmp_path / "n2")}, host="n2")
    record = await join_cluster(config, await mesh.join_line(), "n2", "127.0.0.1:7450")
    store = identity_store(config.node.data_dir)
    store.save(make_identity(mesh.authority, "n2", age=8 * DAY).material)

    again = await join_cluster(config, await mesh.join_line(node_name="n2"), "n2", "127.0.0.1:9999")

    assert again == record
    assert store.load().not_after > utc_now()


async def test_a_used_token_is_refused(mesh: Mesh) -> None:
    line = await mesh.join_line()
    await mesh.join_line()
    await enroll(line, "n2")

    await expect_refusal(line, UnauthenticatedError, "TOKEN_EXHAUSTED")


async def test_an_expired_token_is_refused(mesh: Mesh) -> None:
    request = mesh_pb2.CreateJoinTokenRequest()
    request.ttl.FromTimedelta(timedelta(seconds=1))
    line = JoinLine.parse((await mesh.registry.create(request)).join_command)
    await mesh.join_line()
    await asyncio.sleep(1.1)

    await expect_refusal(line, UnauthenticatedError, "TOKEN_EXPIRED")


async def test_a_guessed_token_is_refused(mesh: Mesh) -> None:
    await expect_refusal(replace(await mesh.join_line(), secret="a" * 32), UnauthenticatedError, "TOKEN_INVALID")


async def test_a_members_name_is_refused(mesh: Mesh) -> None:
    await expect_refusal(await mesh.join_line(), AlreadyExistsError, "NODE_NAME_TAKEN", node=SERVER)


async def test_an_oversized_request_is_refused_before_it_is_read(mesh: Mesh) -> None:
    line = await mesh.join_line()
    async with open_enrollment_channel(mesh.authority.certificate_pem, line.address) as channel:
        request = mesh_pb2.EnrollRequest(token=line.token, signing_request_der=bytes(100_000))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mesh_pb2_grpc.EnrollmentServiceStub(channel).Enroll(request, timeout=CALL_TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_wrong_pin_is_found_before_anything_is_sent(mesh: Mesh) -> None:
    line = await mesh.join_line()

    with pytest.raises(ForbiddenError, match=f"{line.address} is not the one this line was made for"):
        await enroll(replace(line, authority_sha256="0" * 64), "n2")

    assert [token.state for token in mesh.registry.list()] == ["live"]
    await enroll(line, "n2")


@pytest.mark.parametrize(("off_days", "says"), [(-3, r"begins in 2\.0 days"), (9, r"ended 2\.0 days ago")])
async def test_two_clocks_that_disagree_are_named_before_anything_is_sent(mesh: Mesh, off_days: int, says: str) -> None:
    line = await mesh.join_line()

    with pytest.raises(PreconditionError, match=says) as caught:
        await enroll(line, "n2", clock=lambda: utc_now() + off_days * DAY)

    assert caught.value.reason == "CLOCK_DISAGREES"
    await enroll(line, "n2")


async def test_an_impostor_that_shows_the_right_authority_gets_nothing(mesh: Mesh) -> None:
    """Its chain has the pinned certificate in it, but its own key is not certified by it."""
    impostor = Authority.create(CLUSTER, now=utc_now()).issue_enrollment(now=utc_now())
    leaf_pem = impostor.chain_pem.split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    received: list[bytes] = []
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Collector(received),))
    credentials = grpc.ssl_server_credentials([(impostor.key_pem, leaf_pem + mesh.authority.certificate_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()

    line = replace(await mesh.join_line(), address=f"127.0.0.1:{port}")
    with pytest.raises(NodeUnreachableError):
        await enroll(line, "n2")

    await server.stop(0)
    assert received == []


class _Collector(grpc.GenericRpcHandler):
    def __init__(self, received: list[bytes]) -> None:
        self._received = received

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def collect(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self._received.append(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(collect)


async def test_a_closed_enrolment_port_is_explained(mesh: Mesh) -> None:
    line = await mesh.join_line()
    await mesh.registry.revoke(mesh_pb2.RevokeJoinTokenRequest(token_id=line.token_id))
    async with asyncio.timeout(10):
        while mesh.listener.is_open:  # noqa: ASYNC110, the port has no event to wait for
            await asyncio.sleep(0.01)

    with pytest.raises(NodeUnreachableError, match="open only while a join token lives"):
        await enroll(line, "n2")


async def test_a_bad_name_is_found_before_anything_is_sent(mesh: Mesh) -> None:
    with pytest.raises(InvalidInputError, match="not a valid name"):
        await enroll(await mesh.join_line(), "N 2")


async def expect_refusal(line: JoinLine, kind: type[WeftmeshError], reason: str, *, node: str = "n2") -> None:
    with pytest.raises(kind) as caught:
        await enroll(line, node)
    assert caught.value.reason == reason


def test_the_store_keeps_what_enrolment_gave(tmp_path: Path) -> None:
    identity = make_identity(Authority.create(CLUSTER, now=utc_now()), "n2")
    IdentityStore(tmp_path).save(identity.material)

    assert IdentityStore(tmp_path).load() == identity.material
