"""Who calls is asked of a directory that may take its time: the loop goes on, and the caller is told."""

from __future__ import annotations

import asyncio
import os
import pwd
import threading
import time
from collections.abc import Iterator

import pytest

from weftmesh.agent.serving.accounts import ACCOUNTS_MAX, ASK_INTERVAL_S, USABLE_S, Account, Accounts, account_of
from weftmesh.core.errors import OverloadedError

UID, GID = 70_001, 70_001


class Directory:
    """Answers when it is let, and counts who asks."""

    def __init__(self) -> None:
        self.groups: tuple[str, ...] = ("dev",)
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()
        self.now_s = 0.0

    def ask(self, uid: int, gid: int) -> Account:
        self.asked += 1
        assert self.answers.wait(5)
        return Account("ann", (gid,), self.groups)


@pytest.fixture
def directory() -> Iterator[Directory]:
    found = Directory()
    yield found
    found.answers.set()


@pytest.fixture
def accounts(directory: Directory) -> Iterator[Accounts]:
    found = Accounts(directory.ask, lambda: directory.now_s, wait_s=0.3)
    found.start()
    found.arrive(UID, GID)
    yield found
    directory.answers.set()
    found.close()


async def longest_pause_s(stop: asyncio.Event) -> float:
    longest_s = 0.0
    while not stop.is_set():
        before_s = time.monotonic()
        await asyncio.sleep(0.005)
        longest_s = max(longest_s, time.monotonic() - before_s)
    return longest_s


async def test_many_who_connect_at_once_are_one_question_and_the_loop_goes_on(
    accounts: Accounts, directory: Directory
) -> None:
    directory.answers.clear()
    answered = asyncio.Event()
    pausing = asyncio.create_task(longest_pause_s(answered))
    waiting = [asyncio.create_task(accounts.acquaint(UID, GID)) for _ in range(50)]
    await asyncio.sleep(0.1)
    directory.answers.set()
    await asyncio.gather(*waiting)
    answered.set()
    assert await pausing < 5, "the loop stood"
    assert accounts.of(UID, GID) == Account("ann", (GID,), ("dev",))
    assert accounts.name(UID) == "ann"
    assert directory.asked == 1


async def test_a_caller_of_whom_nothing_is_heard_in_time_is_refused_until_there_is_an_answer(
    accounts: Accounts, directory: Directory
) -> None:
    directory.answers.clear()
    await accounts.acquaint(UID, GID)
    with pytest.raises(OverloadedError, match="directory of users does not answer") as refused:
        accounts.of(UID, GID)
    assert refused.value.reason == "CALLER_UNKNOWN"
    assert accounts.name(UID) == str(UID)
    directory.answers.set()
    await accounts.acquaint(UID, GID)
    assert accounts.of(UID, GID).name == "ann"


async def test_the_last_answer_serves_while_the_directory_is_silent_but_not_for_ever(
    accounts: Accounts, directory: Directory
) -> None:
    await accounts.acquaint(UID, GID)
    directory.answers.clear()
    directory.now_s = USABLE_S - 1
    await accounts.acquaint(UID, GID)
    assert accounts.of(UID, GID).groups == ("dev",)
    directory.now_s = USABLE_S
    with pytest.raises(OverloadedError):
        accounts.of(UID, GID)


async def test_what_the_directory_says_anew_counts_at_once_and_listeners_hear_of_a_change(
    accounts: Accounts, directory: Directory
) -> None:
    heard: list[tuple[str, ...]] = []
    accounts.on_change(lambda: heard.append(accounts.of(UID, GID).groups))
    await accounts.acquaint(UID, GID)
    directory.now_s = ASK_INTERVAL_S - 1
    await accounts.acquaint(UID, GID)
    assert directory.asked == 1
    for groups in (("dev",), ("ops",)):
        directory.now_s += ASK_INTERVAL_S
        directory.groups = groups
        await accounts.acquaint(UID, GID)
    assert (directory.asked, heard) == (3, [("ops",)])


async def test_root_and_the_daemons_user_are_never_shut_out(accounts: Accounts, directory: Directory) -> None:
    directory.answers.clear()
    for uid in (0, os.geteuid()):
        accounts.arrive(uid, 0)
        await accounts.acquaint(uid, 0)
        assert accounts.of(uid, 0).name == pwd.getpwuid(uid).pw_name


async def test_of_a_caller_who_has_gone_again_the_system_is_not_asked_on_the_loop(
    accounts: Accounts, directory: Directory
) -> None:
    directory.answers.clear()
    await accounts.acquaint(UID, GID)
    accounts.leave(UID, GID)
    with pytest.raises(OverloadedError):
        accounts.of(UID, GID)
    assert accounts.name(UID) == str(UID)
    assert directory.asked == 1


async def test_many_callers_who_came_and_went_are_forgotten(accounts: Accounts, directory: Directory) -> None:
    for uid in range(UID + 1, UID + ACCOUNTS_MAX + 1):
        accounts.arrive(uid, GID)
        accounts.leave(uid, GID)
    assert len(vars(accounts)["_met"]) <= ACCOUNTS_MAX
    directory.answers.clear()
    with pytest.raises(OverloadedError):
        accounts.of(UID, GID)


async def test_another_question_ends_in_time(accounts: Accounts, directory: Directory) -> None:
    assert await accounts.answer(lambda: "yes") == "yes"
    directory.answers.clear()
    with pytest.raises(OverloadedError) as refused:
        await accounts.answer(lambda: directory.answers.wait(30))
    assert refused.value.reason == "DIRECTORY_SILENT"


def test_the_system_is_asked_for_names_and_groups() -> None:
    own = account_of(os.getuid(), os.getgid())
    assert own.name == pwd.getpwuid(os.getuid()).pw_name
    assert own.gids[0] == os.getgid()
    assert account_of(4_000_000_123, 4_000_000_123) == Account("4000000123", (4_000_000_123,), ())
