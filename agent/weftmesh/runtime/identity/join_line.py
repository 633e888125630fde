"""The one line to paste on a new node: where to go, the token, and which authority to trust."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.names import NAME_PATTERN

VERSION: Final = "wmj1"
_TICKET: Final = re.compile(
    r"(?P<version>[a-z0-9]+)\.(?P<id>[a-z2-7]{8})\.(?P<secret>[a-z2-7]{32})\.(?P<pin>[0-9a-f]{64})"
)
_TOKEN: Final = re.compile(r"(?P<id>[a-z2-7]{8})\.(?P<secret>[a-z2-7]{32})")


@dataclass(frozen=True, slots=True)
class JoinLine:
    """What a join line says.

    Attributes:
        address: host:port of the enrolment port.
        token_id: the token's public part.
        secret: its other part.
        authority_sha256: the fingerprint of the authority's certificate, 64 hex digits.
    """

    address: str
    token_id: str
    secret: str = field(repr=False)
    authority_sha256: str

    def __str__(self) -> str:
        """The line itself, secret included."""
        return f"weftmesh join {self.address} {VERSION}.{self.token}.{self.authority_sha256}"

    @property
    def token(self) -> str:
        """What is sent to the enrolment port."""
        return f"{self.token_id}.{self.secret}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line as pasted: whole, or only its two last words, broken by a terminal or not.

        Raises:
            InvalidInputError: it is no join line; the message never repeats a secret.
        """
        words = line.split()
        if "join" in words:
            words = words[words.index("join") + 1 :]
        if len(words) < 2:
            raise _invalid("it has two parts, HOST:PORT and a word that begins with wmj1.")
        address, ticket = words[0], "".join(words[1:])
        if not ticket.startswith(f"{VERSION}."):
            raise _invalid(f"its last word must begin with {VERSION}.; a newer release may write another version")
        match = _TICKET.fullmatch(ticket)
        if match is None:
            raise _invalid(f"its last word is incomplete or mistyped ({len(ticket)} characters)")
        split_address(address)
        return cls(address, match["id"], match["secret"], match["pin"])


@dataclass(frozen=True, slots=True)
class SeedLine:
    """What a join line says where certificates come from files: whom to ask. There is no secret in it.

    Attributes:
        node: the member that was told to take the node in.
        address: host:port of its mesh port.
    """

    node: str
    address: str

    def __str__(self) -> str:
        """The line itself."""
        return f"weftmesh join {self.node}@{self.address}"

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """Read a line as pasted; None when it is not one of this kind.

        Raises:
            InvalidInputError: the address is none.
        """
        node, found, address = line.split()[-1].partition("@") if line.split() else ("", "", "")
        if not found or NAME_PATTERN.fullmatch(node) is None:
            return None
        split_address(address)
        return cls(node, address)


def split_token(token: str) -> tuple[str, str] | None:
    """Return (id, secret) of what a joiner sent; None when it has not the form of a token."""
    match = _TOKEN.fullmatch(token)
    return (match["id"], match["secret"]) if match else None


def _invalid(why: str) -> InvalidInputError:
    return InvalidInputError(
        f"this is not a join line: {why}; copy the whole line that `weftmesh token create` printed",
        reason="JOIN_LINE_INVALID",
    )
