from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.wall_clock import WallClock

from weftmesh.core.errors import (
    DataCorruptionError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    UnauthenticatedError,
)
from weftmesh.runtime.identity.tokens import ENDED_TOKENS_MAX, LIVE_TOKENS_MAX, TokenState, TokenStore


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def store(tmp_path: Path, clock: WallClock) -> TokenStore:
    return TokenStore(tmp_path / "tokens.json", clock=clock)


def refusal(store: TokenStore, token_id: str, secret: str, node: str = "n3") -> str:
    """Why the token is refused, as its bearer is told."""
    with pytest.raises(UnauthenticatedError) as caught:
        store.redeem(token_id, secret, node)
    return caught.value.reason


def test_a_token_lets_one_node_in_once(store: TokenStore) -> None:
    record, secret = store.create()

    used = store.redeem(record.token_id, secret, "n2")

    assert (used.state, used.used_by) == (TokenState.USED, "n2")
    assert refusal(store, record.token_id, secret, "n2") == "TOKEN_EXHAUSTED"
    assert store.live_until() is None


def test_a_used_token_stays_used_after_a_restart(store: TokenStore, tmp_path: Path, clock: WallClock) -> None:
    record, secret = store.create()
    store.redeem(record.token_id, secret, "n2")

    again = TokenStore(tmp_path / "tokens.json", clock=clock)

    assert refusal(again, record.token_id, secret) == "TOKEN_EXHAUSTED"
    assert again.records() == store.records()


def test_of_many_at_once_one_gets_in(store: TokenStore) -> None:
    record, secret = store.create()

    def attempt(number: int) -> bool:
        try:
            store.redeem(record.token_id, secret, f"n{number}")
        except UnauthenticatedError:
            return False
        return True

    with ThreadPoolExecutor(max_workers=16) as pool:
        assert sum(pool.map(attempt, range(64))) == 1


def test_only_who_holds_the_secret_learns_why(store: TokenStore, clock: WallClock) -> None:
    used, used_secret = store.create()
    store.redeem(used.token_id, used_secret, "n2")
    expired, expired_secret = store.create(timedelta(minutes=1))
    revoked, revoked_secret = store.create()
    store.revoke(revoked.token_id)
    clock.advance(timedelta(minutes=1))

    assert refusal(store, used.token_id, used_secret) == "TOKEN_EXHAUSTED"
    assert refusal(store, expired.token_id, expired_secret) == "TOKEN_EXPIRED"
    assert refusal(store, revoked.token_id, revoked_secret) == "TOKEN_INVALID"
    for token_id in (used.token_id, expired.token_id, revoked.token_id, "aaaaaaaa", ""):
        assert refusal(store, token_id, "x" * 32) == "TOKEN_INVALID"
        assert refusal(store, token_id, "") == "TOKEN_INVALID"


def test_a_token_for_one_name_is_of_no_use_to_another(store: TokenStore) -> None:
    record, secret = store.create(node_name="n2")

    assert refusal(store, record.token_id, secret) == "TOKEN_INVALID"
    assert store.redeem(record.token_id, secret, "n2").used_by == "n2"


def test_the_secret_is_kept_nowhere_and_the_file_is_private(store: TokenStore, tmp_path: Path) -> None:
    _, secret = store.create()
    path = tmp_path / "tokens.json"

    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_revoking(store: TokenStore) -> None:
    record, secret = store.create()

    assert store.revoke(record.token_id).state is TokenState.REVOKED
    assert store.revoke(record.token_id).state is TokenState.REVOKED
    with pytest.raises(NotFoundError):
        store.revoke("aaaaaaaa")
    used, secret = store.create()
    store.redeem(used.token_id, secret, "n2")
    with pytest.raises(PreconditionError, match="members rm n2"):
        store.revoke(used.token_id)


def test_live_tokens_are_limited_and_expired_ones_make_room(store: TokenStore, clock: WallClock) -> None:
    for _ in range(LIVE_TOKENS_MAX):
        store.create(timedelta(minutes=1))
    with pytest.raises(OverloadedError, match="revoke some"):
        store.create()

    clock.advance(timedelta(minutes=1))
    record, _ = store.create()

    assert store.live_until() == record.expire_time


def test_ended_tokens_are_forgotten_oldest_first(tmp_path: Path, clock: WallClock) -> None:
    row = {"secret_sha256": "", "expire_time": clock.now.isoformat(), "node_name": "", "state": "used", "used_by": "n"}
    rows = [row | {"token_id": f"t{number}", "admitted": True} for number in range(ENDED_TOKENS_MAX + 5)]
    path = tmp_path / "tokens.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"format": 1, "tokens": rows}))
    store = TokenStore(path, clock=clock)

    live, _ = store.create()

    kept = [record.token_id for record in store.records()]
    assert kept == [f"t{number}" for number in range(5, ENDED_TOKENS_MAX + 5)] + [live.token_id]


def test_a_token_makes_a_member_once_also_after_a_restart(tmp_path: Path, clock: WallClock) -> None:
    store = TokenStore(tmp_path / "tokens.json", clock=clock)
    record, secret = store.create()
    assert not store.may_be_admitted("n2")
    store.redeem(record.token_id, secret, "n2")
    assert TokenStore(tmp_path / "tokens.json", clock=clock).may_be_admitted("n2")
    store.admit("n2")
    assert not store.may_be_admitted("n2")
    assert not TokenStore(tmp_path / "tokens.json", clock=clock).may_be_admitted("n2")


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_a_lifetime_out_of_bounds_is_refused(store: TokenStore, ttl: timedelta) -> None:
    with pytest.raises(InvalidInputError, match="may live from"):
        store.create(ttl)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 0, "tokens": []}', '{"format": 1, "tokens": [{}]}'])
def test_a_damaged_file_is_refused_with_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.touch(mode=0o600)
    path.write_text(content)

    with pytest.raises(DataCorruptionError, match="delete it"):
        TokenStore(path)


def test_a_file_that_others_may_read_is_refused(store: TokenStore, tmp_path: Path) -> None:
    store.create()
    (tmp_path / "tokens.json").chmod(0o644)

    with pytest.raises(PreconditionError, match="chmod 600"):
        TokenStore(tmp_path / "tokens.json")


def test_subscribers_hear_of_each_change_until_they_leave(store: TokenStore) -> None:
    heard: list[int] = []
    leave = store.subscribe(lambda: heard.append(len(store.records())))

    record, secret = store.create()
    store.redeem(record.token_id, secret, "n2")
    leave()
    leave()
    store.create()

    assert heard == [1, 1]
