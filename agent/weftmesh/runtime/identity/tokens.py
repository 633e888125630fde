"""Join tokens: each lets one node in, once, for a while. Only hashes are kept, and every change is on disk first."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from weftmesh.core.errors import (
    DataCorruptionError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    UnauthenticatedError,
)
from weftmesh.runtime.data_formats import check_format
from weftmesh.runtime.files import make_private_directory, read_private, write_atomic
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.names import check_name

DEFAULT_TTL: Final = timedelta(minutes=30)
TTL_MIN: Final = timedelta(seconds=1)
TTL_MAX: Final = timedelta(days=7)
LIVE_TOKENS_MAX: Final = 64
# Used, expired and revoked ones are kept to say why an attempt was refused.
ENDED_TOKENS_MAX: Final = 256
TOKEN_ID_BYTES: Final = 5
SECRET_BYTES: Final = 20
_FORMAT: Final = 1


class TokenState(StrEnum):
    """Where a token stands."""

    LIVE = "live"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


class TokenRefusedError(UnauthenticatedError):
    """A token that lets nobody in.

    Attributes:
        why: the whole truth, for this node's log; the message is for the caller.
    """

    def __init__(self, why: str, told: str = "the join token is not valid", reason: str = "TOKEN_INVALID") -> None:
        super().__init__(f"{told}; make a new one on a member with: weftmesh token create", reason=reason)
        self.why = why


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is kept of a token. `node_name` is empty when any node may use it, `used_by` until one has.

    `admitted` is set once the node that used it has become a member: a token makes a member once.

    A plain hash is enough: the secret is 160 random bits, not a password.
    """

    token_id: str
    secret_sha256: str
    expire_time: datetime
    node_name: str = ""
    state: TokenState = TokenState.LIVE
    used_by: str = ""
    admitted: bool = False

    def at(self, now: datetime) -> TokenRecord:
        """The record as it stands at `now`: expiry is a matter of reading, not of writing."""
        if self.state is TokenState.LIVE and now >= self.expire_time:
            return replace(self, state=TokenState.EXPIRED)
        return self


class TokenStore:
    """The tokens of one file. Its methods block on the disk and may be called from any thread."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        """Read what is there.

        Raises:
            PreconditionError: others may read the file.
            DataCorruptionError: it is damaged.
        """
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._records = _load(path)
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after each change, in the thread that made it; call what is returned to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def records(self) -> list[TokenRecord]:
        """Every token that is remembered, oldest first."""
        now = self._clock()
        return [record.at(now) for record in self._records.values()]

    def live_until(self) -> datetime | None:
        """When the last live token expires; None when none lives."""
        return max((r.expire_time for r in self.records() if r.state is TokenState.LIVE), default=None)

    def check_request(self, ttl: timedelta, node_name: str) -> TokenRecord:
        """Return the record that `create` would make, without an id and a secret.

        Raises:
            InvalidInputError: the lifetime or the name is out of bounds.
            OverloadedError: as many tokens live as may.
        """
        if not TTL_MIN <= ttl <= TTL_MAX:
            raise InvalidInputError(
                f"a token may live from {TTL_MIN.seconds} second to {TTL_MAX.days} days, not {ttl}",
                reason="TTL_INVALID",
            )
        if node_name:
            check_name(node_name, what="the node")
        if sum(record.state is TokenState.LIVE for record in self.records()) >= LIVE_TOKENS_MAX:
            raise OverloadedError(
                f"{LIVE_TOKENS_MAX} join tokens live already; revoke some or wait until they expire",
                reason="TOO_MANY_TOKENS",
            )
        return TokenRecord("", "", self._clock() + ttl, node_name)

    def create(self, ttl: timedelta = DEFAULT_TTL, node_name: str = "") -> tuple[TokenRecord, str]:
        """Make a token; returns its record and its secret, which is kept nowhere. Raises as `check_request` does."""
        with self._lock:
            draft = self.check_request(ttl, node_name)
            secret = _random_word(SECRET_BYTES)
            record = replace(draft, token_id=_random_word(TOKEN_ID_BYTES), secret_sha256=_hash(secret))
            self._write(record)
            return record, secret

    def revoke(self, token_id: str) -> TokenRecord:
        """Make a token useless; doing it again changes nothing.

        Raises:
            NotFoundError: there is no such token.
            PreconditionError: it was used: the node is in, and is to be removed instead.
        """
        with self._lock:
            record = self.find(token_id)
            if record.state is TokenState.USED:
                raise PreconditionError(
                    f"token {token_id} was used by {record.used_by}; to keep that node out,"
                    f" run: weftmesh members rm {record.used_by}",
                    reason="TOKEN_EXHAUSTED",
                )
            if record.state is TokenState.LIVE:
                record = replace(record, state=TokenState.REVOKED)
                self._write(record)
            return record

    def find(self, token_id: str) -> TokenRecord:
        """Return a token's record; NotFoundError when there is none."""
        record = self._records.get(token_id)
        if record is None:
            raise NotFoundError(f"there is no join token {token_id!r}; see: weftmesh token ls", reason="TOKEN_INVALID")
        return record.at(self._clock())

    def verify(self, token_id: str, secret: str, node_name: str) -> TokenRecord:
        """Return the record of a token that `node_name` may use now, without using it.

        Raises:
            TokenRefusedError: it may not. Only who holds the secret learns more than TOKEN_INVALID.
        """
        record = self._records.get(token_id)
        expected = record.secret_sha256 if record else _hash("")
        if not hmac.compare_digest(_hash(secret), expected) or record is None:
            raise TokenRefusedError(f"wrong secret for token {token_id}" if record else "no such token")
        record = record.at(self._clock())
        if record.state is not TokenState.LIVE:
            raise TokenRefusedError(f"token {token_id} is {record.state.value}", *_TOLD[record.state])
        if record.node_name not in ("", node_name):
            raise TokenRefusedError(f"token {token_id} is for {record.node_name}")
        return record

    def redeem(self, token_id: str, secret: str, node_name: str, *, is_member: bool = False) -> TokenRecord:
        """Use a token up; when this returns, no other call can, not even after a crash. Raises as `verify` does.

        One that a member comes back with makes no member any more, whatever becomes of that member.
        """
        with self._lock:
            record = self.verify(token_id, secret, node_name)
            record = replace(record, state=TokenState.USED, used_by=node_name, admitted=is_member)
            self._write(record)
            return record

    def may_be_admitted(self, node_name: str) -> bool:
        """Whether a node has enrolled here and has not become a member since: a removed one needs a new token."""
        return bool(self._enrolled(node_name))

    def admit(self, node_name: str) -> None:
        """Remember that a node has become a member."""
        with self._lock:
            for record in self._enrolled(node_name):
                self._write(replace(record, admitted=True))

    def may_be_taken_in(self, node_name: str) -> bool:
        """Whether a token made for exactly this node lives: enough where somebody else vouches for its name."""
        return bool(self._made_for(node_name))

    def take_in(self, node_name: str) -> None:
        """Use the tokens up that were made for this node: it has become a member."""
        with self._lock:
            for record in self._made_for(node_name):
                self._write(replace(record, state=TokenState.USED, used_by=node_name, admitted=True))

    def _made_for(self, node_name: str) -> list[TokenRecord]:
        return [one for one in self.records() if one.state is TokenState.LIVE and one.node_name == node_name]

    def _enrolled(self, node_name: str) -> list[TokenRecord]:
        return [record for record in self._records.values() if record.used_by == node_name and not record.admitted]

    def _write(self, record: TokenRecord) -> None:
        records = self._records | {record.token_id: record}
        now = self._clock()
        ended = [key for key, value in records.items() if value.at(now).state is not TokenState.LIVE]
        for key in ended[: max(0, len(ended) - ENDED_TOKENS_MAX)]:
            del records[key]
        _save(self._path, records)
        self._records = records
        for listener in tuple(self._listeners):
            listener()


_TOLD: Final[Mapping[TokenState, tuple[str, ...]]] = {
    TokenState.USED: ("the join token was used already", "TOKEN_EXHAUSTED"),
    TokenState.EXPIRED: ("the join token has expired", "TOKEN_EXPIRED"),
    TokenState.REVOKED: (),
}


def _random_word(size_bytes: int) -> str:
    """Random bits in lower-case base32: survives being read aloud; whole groups of 5 bytes need no padding."""
    return base64.b32encode(secrets.token_bytes(size_bytes)).decode().lower()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _save(path: Path, records: Mapping[str, TokenRecord]) -> None:
    rows = [asdict(record) | {"expire_time": record.expire_time.isoformat()} for record in records.values()]
    make_private_directory(path.parent)
    write_atomic(path, json.dumps({"format": _FORMAT, "tokens": rows}, indent=1).encode())


def _load(path: Path) -> dict[str, TokenRecord]:
    try:
        document = json.loads(read_private(path))
        _check_format(path, document["format"])
        return {row["token_id"]: _record(row) for row in document["tokens"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorruptionError(
            f"{path} is damaged ({error}); delete it: live join tokens are lost, and nothing else"
        ) from error


def _check_format(path: Path, found: object) -> None:
    if isinstance(found, int):
        check_format(path, found, _FORMAT)
    if found != _FORMAT:
        raise ValueError(f"its format is {found}, which no build wrote")


def _record(row: Mapping[str, Any]) -> TokenRecord:
    return TokenRecord(
        token_id=str(row["token_id"]),
        secret_sha256=str(row["secret_sha256"]),
        expire_time=datetime.fromisoformat(row["expire_time"]),
        node_name=str(row["node_name"]),
        state=TokenState(row["state"]),
        used_by=str(row["used_by"]),
        admitted=bool(row["admitted"]),
    )
