"""Page tokens: opaque to callers, and useless for any listing but the one they came from."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from zlib import crc32

from weftmesh.core.errors import InvalidInputError

TOKEN_CHARACTERS_MAX: Final = 1_024
_FORMAT: Final = 1
_HEAD: Final = struct.Struct(">B8sQ")
"""Format, fingerprint of the listing, revision; the cursor follows, then a CRC-32 of all."""
_CHECKSUM: Final = struct.Struct(">I")
_START_AGAIN: Final = "list again from the first page, without a page token"


@dataclass(frozen=True, slots=True)
class PageToken:
    """Where a listing goes on."""

    method: str
    parent: str
    filter: str
    """Everything else that decides what is listed."""
    revision: int
    """The board revision that all pages are of."""
    cursor: str
    """The listing's own; at most about 700 bytes."""


def encode_page_token(token: PageToken) -> str:
    """Return `token` as callers see it.

    Raises:
        InvalidInputError: the cursor is too long.
    """
    fingerprint = _fingerprint(token.method, token.parent, token.filter)
    body = _HEAD.pack(_FORMAT, fingerprint, token.revision) + token.cursor.encode()
    text = base64.urlsafe_b64encode(body + _CHECKSUM.pack(crc32(body))).rstrip(b"=").decode()
    if len(text) > TOKEN_CHARACTERS_MAX:
        raise InvalidInputError(f"a page cursor of {len(token.cursor)} characters is too long; list with a shorter one")
    return text


def decode_page_token(text: str, method: str, parent: str, filter_: str) -> PageToken | None:
    """Return the token in `text` for the listing of these; None when `text` is empty.

    Raises:
        InvalidInputError: it is not a page token, or one of another listing.
    """
    if not text:
        return None
    body = _checked_body(text)
    version, fingerprint, revision = _HEAD.unpack_from(body)
    if version != _FORMAT:
        raise _refused(f"the page token is of format {version}, not {_FORMAT}")
    if fingerprint != _fingerprint(method, parent, filter_):
        raise _refused(f"the page token belongs to another listing than this {method} of {parent or 'everything'}")
    try:
        cursor = body[_HEAD.size :].decode()
    except UnicodeDecodeError as error:
        raise _refused("the page token is damaged") from error
    return PageToken(method, parent, filter_, revision, cursor)


def _checked_body(text: str) -> bytes:
    if len(text) > TOKEN_CHARACTERS_MAX:
        raise _refused(f"the page token has {len(text)} characters, at most {TOKEN_CHARACTERS_MAX} are possible")
    try:
        data = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused("the page token is damaged") from error
    body, checksum = data[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
    if len(body) < _HEAD.size or _CHECKSUM.pack(crc32(body)) != checksum:
        raise _refused("the page token is damaged")
    return body


def _fingerprint(*parts: str) -> bytes:
    digest = blake2b(digest_size=8)
    for part in parts:
        data = part.encode()
        digest.update(struct.pack(">I", len(data)) + data)
    return digest.digest()


def _refused(what: str) -> InvalidInputError:
    return InvalidInputError(f"{what}; {_START_AGAIN}", reason="PAGE_TOKEN_INVALID", metadata={"field": "page_token"})
