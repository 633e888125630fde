"""Signs what this node's learner states in a round, and checks what others have signed (ECDSA on P-256, SHA-256)."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from weftmesh.agent.learning.member_keys import MemberKeys
from weftmesh.core.aggregation.encoding import encode
from weftmesh.core.aggregation.keys import STATEMENT_LABEL
from weftmesh.core.errors import ForbiddenError, InvalidInputError
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.identity.certificates import PublicKey, load_key
from weftmesh.runtime.identity.credentials import NodeIdentity

STATEMENT_BYTES_MAX: Final = 64 * 1024
"""Terms name up to 256 contributors in up to 72 bytes each."""
SIGNATURE_BYTES_MAX: Final = 80
"""DER of two numbers of 32 bytes takes 72 at most."""
_DOMAIN: Final = encode(STATEMENT_LABEL)
_SCHEME: Final = ec.ECDSA(SHA256())


class Statements:
    """Lends the key of this node's certificate to learning, for statements of its own domain and nothing else."""

    def __init__(self, identity: NodeIdentity, keys: MemberKeys) -> None:
        self._identity = identity
        self._keys = keys

    def sign(self, statement: bytes) -> bytes:
        """The signature of this node, in DER.

        Raises:
            ForbiddenError: the statement is of another domain.
            InvalidInputError: it is too long.
        """
        _check_domain(statement)
        return load_key(self._identity.material.key_pem, what="node.key").sign(statement, _SCHEME)

    async def check(self, node: str, statement: bytes, signature: bytes) -> learning_pb2.CheckStatementResponse:
        """Whether the member `node` signed `statement`.

        Raises:
            ForbiddenError: the statement is of another domain, or `node` is no member.
            WeftmeshError: it cannot be told, because `node` does not show its certificate.
        """
        _check_domain(statement)
        if not 0 < len(signature) <= SIGNATURE_BYTES_MAX:
            return _not_genuine(f"{len(signature)} bytes are no signature")
        # A member that was set up anew has another key than the one remembered: look once before calling it a forgery.
        if _is_valid(await self._keys.key_of(node), statement, signature) or _is_valid(
            await self._keys.fresh_key_of(node), statement, signature
        ):
            return learning_pb2.CheckStatementResponse(genuine=True)
        return _not_genuine(f"{node} did not sign this statement")


def _check_domain(statement: bytes) -> None:
    if len(statement) > STATEMENT_BYTES_MAX:
        raise InvalidInputError(f"a statement of {len(statement)} bytes exceeds the limit of {STATEMENT_BYTES_MAX}")
    if not statement.startswith(_DOMAIN):
        raise ForbiddenError(
            f"the node's key signs statements of {STATEMENT_LABEL} for learning, and nothing else",
            reason="STATEMENT_DOMAIN",
        )


def _is_valid(key: PublicKey, statement: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, statement, _SCHEME)
    except InvalidSignature:
        return False
    return True


def _not_genuine(why: str) -> learning_pb2.CheckStatementResponse:
    return learning_pb2.CheckStatementResponse(genuine=False, why=why)
