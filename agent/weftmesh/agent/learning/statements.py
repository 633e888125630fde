"""Signs what this node's learner states in a round, and checks what others have signed (ECDSA on P-256, SHA-256)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from weftmesh.agent.learning.member_keys import MemberKeys
from weftmesh.core.aggregation.keys import STATEMENT_LABEL
from weftmesh.core.aggregation.terms import CONTRIBUTORS_MAX
from weftmesh.core.encoding import encode
from weftmesh.core.errors import ForbiddenError, InvalidInputError, WeftmeshError
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.identity.certificates import PublicKey, load_key
from weftmesh.runtime.identity.credentials import NodeIdentity

STATEMENT_BYTES_MAX: Final = 64 * 1024
"""Terms name up to 256 contributors in up to 72 bytes each."""
STATEMENTS_MAX: Final = CONTRIBUTORS_MAX
"""In one call: a roster has no more."""
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

    async def check(self, claims: Sequence[learning_pb2.SignedStatement]) -> list[learning_pb2.StatementVerdict]:
        """Whether the members that are named signed these statements, in the same order.

        What cannot be told, because the node is no member or does not show its certificate, is not genuine.

        Raises:
            InvalidInputError: they are too many, or one is too long.
            ForbiddenError: a statement is of another domain.
        """
        if len(claims) > STATEMENTS_MAX:
            raise InvalidInputError(f"{len(claims)} statements in one call; send at most {STATEMENTS_MAX}")
        for claim in claims:
            _check_domain(claim.statement)
        names = {claim.node for claim in claims}
        # Certificates that are not known yet are asked for at once: one slow member costs no more than all of them.
        keys = dict(zip(names, await asyncio.gather(*map(self._key_or_why_not, names)), strict=True))
        verdicts = []
        for claim in claims:
            verdicts.append(await self._verdict(claim, keys[claim.node]))
            await asyncio.sleep(0)  # the board does not wait for a long roster
        return verdicts

    async def _key_or_why_not(self, node: str) -> PublicKey | WeftmeshError:
        try:
            return await self._keys.key_of(node)
        except WeftmeshError as error:
            return error

    async def _verdict(
        self, claim: learning_pb2.SignedStatement, key: PublicKey | WeftmeshError
    ) -> learning_pb2.StatementVerdict:
        if not 0 < len(claim.signature) <= SIGNATURE_BYTES_MAX:
            return _not_genuine(f"{len(claim.signature)} bytes are no signature")
        if isinstance(key, WeftmeshError):
            return _not_genuine(f"{key.reason}: {key}")
        if _is_valid(key, claim):
            return learning_pb2.StatementVerdict(genuine=True)
        # A member that was set up anew has another key than the one remembered: look once before calling it a forgery.
        try:
            if _is_valid(await self._keys.fresh_key_of(claim.node), claim):
                return learning_pb2.StatementVerdict(genuine=True)
        except WeftmeshError as error:
            return _not_genuine(f"{error.reason}: {error}")
        return _not_genuine(f"{claim.node} did not sign this statement")


def _check_domain(statement: bytes) -> None:
    if len(statement) > STATEMENT_BYTES_MAX:
        raise InvalidInputError(f"a statement of {len(statement)} bytes exceeds the limit of {STATEMENT_BYTES_MAX}")
    if not statement.startswith(_DOMAIN):
        raise ForbiddenError(
            f"the node's key signs statements of {STATEMENT_LABEL} for learning, and nothing else",
            reason="STATEMENT_DOMAIN",
        )


def _is_valid(key: PublicKey, claim: learning_pb2.SignedStatement) -> bool:
    try:
        key.verify(claim.signature, claim.statement, _SCHEME)
    except InvalidSignature:
        return False
    return True


def _not_genuine(why: str) -> learning_pb2.StatementVerdict:
    return learning_pb2.StatementVerdict(genuine=False, why=why)
