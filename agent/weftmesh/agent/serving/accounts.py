"""What this machine says of its Unix users, asked beside the event loop: a directory server may take seconds to answer.

Whoever connects to the local socket is asked about before his first call, and every `ASK_INTERVAL_S` while he stays.
Calls go by the newest answer. While there is none, the one before serves for `USABLE_S`; then calls are refused.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from weftmesh.core.errors import OverloadedError
from weftmesh.runtime.daemon_threads import DaemonThreads
from weftmesh.runtime.rpc import CONNECT_TIMEOUT_MS
from weftmesh.runtime.rpc_status import RETRY_KEY
from weftmesh.runtime.unix_groups import gids_of

ASK_INTERVAL_S: Final = 30.0
WAIT_S: Final = CONNECT_TIMEOUT_MS / 2_000
"""For the first answer about a caller; then his calls are refused until there is one. Clients give a connection up that
takes longer than `CONNECT_TIMEOUT_MS`, and would never hear why they are refused."""
OWN_WAIT_S: Final = 0.5
"""And about root and the daemon's own user, whose calls do not depend on it."""
USABLE_S: Final = 300.0
THREADS: Final = 4
"""Of their own: a directory that hangs holds up nobody's log."""
ACCOUNTS_MAX: Final = 1_024

Key = tuple[int, int]
"""The uid and the gid of a process."""
T = TypeVar("T")


class Account(NamedTuple):
    """A user and his groups, as they count for a process with a certain gid."""

    name: str
    """The number itself where the machine has no name for it."""
    gids: tuple[int, ...]
    groups: tuple[str, ...]
    """The names of those that have one."""


def account_of(uid: int, gid: int) -> Account:
    """Ask the system; blocks."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Account(str(uid), (gid,), group_names((gid,)))
    gids = tuple(dict.fromkeys((gid, *gids_of(name, gid))))
    return Account(name, gids, group_names(gids))


def group_names(gids: tuple[int, ...]) -> tuple[str, ...]:
    """The names of groups, of those that have one; blocks."""
    names = []
    for gid in gids:
        with suppress(KeyError):
            names.append(grp.getgrgid(gid).gr_name)
    return tuple(names)


class Accounts:
    """The accounts of those who call. On the event loop only.

    Args:
        ask: the system.
        now_s: a clock that only goes forward.
        wait_s: for a first answer.
    """

    def __init__(
        self,
        ask: Callable[[int, int], Account] = account_of,
        now_s: Callable[[], float] = time.monotonic,
        wait_s: float = WAIT_S,
    ) -> None:
        self._ask = ask
        self._now_s = now_s
        self._wait_s = wait_s
        self._threads: DaemonThreads | None = None
        self._present: Counter[Key] = Counter()
        self._met: set[Key] = set()
        """Those who are present, and others whose last calls may still be under way."""
        self._known: dict[Key, tuple[float, Account]] = {}
        self._asking: dict[Key, asyncio.Future[Account]] = {}
        self._names: dict[int, str] = {}
        self._listeners: list[Callable[[], None]] = []

    def start(self) -> None:
        """Have the threads, and know those whom nothing may shut out: root and the daemon's own user. Blocks."""
        if self._threads is None:
            self._threads = DaemonThreads(THREADS, "accounts")
        for uid in (0, os.geteuid()):
            with suppress(KeyError):
                self._names[uid] = pwd.getpwuid(uid).pw_name

    def close(self) -> None:
        """Ask nothing more."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        self._asking.clear()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after the system has said something else of a caller than before."""
        self._listeners.append(listener)

    def arrive(self, uid: int, gid: int) -> None:
        """A process has connected."""
        if len(self._met) >= ACCOUNTS_MAX:
            self._met = set(self._present)
        self._met.add((uid, gid))
        self._present[uid, gid] += 1

    def leave(self, uid: int, gid: int) -> None:
        """A process that had connected is gone."""
        self._present -= Counter(((uid, gid),))

    async def acquaint(self, uid: int, gid: int) -> None:
        """Wait until the account of a caller is known, or until `wait_s` has passed; for root less."""
        known = self._known.get((uid, gid))
        if known is None or self._now_s() - known[0] >= ASK_INTERVAL_S:
            wait_s = min(OWN_WAIT_S, self._wait_s) if uid in (0, os.geteuid()) else self._wait_s
            await asyncio.wait({self._asked(uid, gid)}, timeout=wait_s)

    async def follow(self) -> None:
        """Ask about those who are connected again and again, until cancelled."""
        while True:
            await asyncio.sleep(ASK_INTERVAL_S)
            for uid, gid in list(self._present):
                self._asked(uid, gid)

    def of(self, uid: int, gid: int) -> Account:
        """The account of a caller who has connected; of any other one the system is asked at once, which blocks.

        Raises:
            OverloadedError: CALLER_UNKNOWN; the system does not answer.
        """
        known = self._known.get((uid, gid))
        if known is not None and self._now_s() - known[0] < USABLE_S:
            return known[1]
        if (uid, gid) not in self._met:
            return self._learned(uid, gid, self._ask(uid, gid))
        if uid in (0, os.geteuid()):
            return Account(self._names.get(uid, str(uid)), (gid,), ())
        raise OverloadedError(
            f"this machine has not said who uid {uid} is: its directory of users does not answer. Try again, or see "
            f"how long `id {uid}` takes",
            reason="CALLER_UNKNOWN",
            metadata={RETRY_KEY: str(round(self._wait_s * 1000))},
        )

    def name(self, uid: int) -> str:
        """What a user was called last; for messages."""
        if uid in self._names or any(uid == one for one, _ in self._met):
            return self._names.get(uid, str(uid))
        return self._ask(uid, uid).name

    async def answer(self, question: Callable[[], T]) -> T:
        """What the system answers to another question.

        Raises:
            OverloadedError: DIRECTORY_SILENT; it does not, in time.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._in_thread(question)
        except TimeoutError:
            raise OverloadedError(
                "the directory of users of this machine does not answer; try again later", reason="DIRECTORY_SILENT"
            ) from None

    def _in_thread(self, question: Callable[[], T]) -> Awaitable[T]:
        if self._threads is None:
            self.start()
        return asyncio.get_running_loop().run_in_executor(self._threads, question)

    def _asked(self, uid: int, gid: int) -> asyncio.Future[Account]:
        """One question for all who wait for its answer."""
        asking = self._asking.get((uid, gid))
        if asking is None:
            asking = asyncio.ensure_future(self._in_thread(lambda: self._ask(uid, gid)))
            self._asking[uid, gid] = asking
            asking.add_done_callback(lambda done: self._answered(uid, gid, done))
        return asking

    def _answered(self, uid: int, gid: int, done: asyncio.Future[Account]) -> None:
        self._asking.pop((uid, gid), None)
        if done.cancelled() or done.exception() is not None:
            return  # as good as none
        before = self._known.get((uid, gid))
        account = self._learned(uid, gid, done.result())
        if before is not None and before[1] != account:
            for listener in self._listeners:
                listener()

    def _learned(self, uid: int, gid: int, account: Account) -> Account:
        if len(self._known) >= ACCOUNTS_MAX:
            self._known = {key: known for key, known in self._known.items() if key in self._present}
            self._names = {uid: self._names[uid] for uid in (0, os.geteuid()) if uid in self._names}
        self._known[uid, gid] = (self._now_s(), account)
        self._names[uid] = account.name
        return account


ACCOUNTS: Final = Accounts()
"""Of this machine."""


def user_name(uid: int) -> str:
    """The login name of a uid; the number itself if this machine has no name for it."""
    return ACCOUNTS.name(uid)
