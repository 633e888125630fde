"""Endpoints' addresses as numbers, for clients that look no names up: found in the background, and again and again."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, Protocol

import structlog

from weftmesh.core.errors import InvalidInputError
from weftmesh.router.probing.names import FRESH_S, Where
from weftmesh.runtime.addresses import join_address, split_address

RETRY_S: Final = 2.0
"""After which a name that was never found is looked up again."""
ADDRESSES_KEPT: Final = 20_000
"""Of which it is remembered whether they are numbers."""
_log = structlog.get_logger("weftmesh.router")


class Finder(Protocol):
    """Looks names up; `probing.names.Names` is one."""

    async def find(self, address: str) -> Where:
        """See Names."""


class Numbers:
    """What names mean just now.

    Args:
        names: looks them up.
        changed: told when a name means something else than before, or was not found for the first time.
    """

    def __init__(self, names: Finder, changed: Callable[[], None]) -> None:
        self._names = names
        self._changed = changed
        self._found: dict[str, str] = {}
        self._missing: set[str] = set()
        self._wanted: set[str] = set()
        self._asked = asyncio.Event()

    def follow(self, addresses: Iterable[str]) -> None:
        """Keep those of these addresses up to date that are names, and forget all others."""
        wanted = {one for one in addresses if not _is_number(one)}
        if wanted - self._wanted:
            self._asked.set()
        self._wanted = wanted
        self._found = {one: number for one, number in self._found.items() if one in wanted}
        self._missing &= wanted

    def of(self, address: str) -> str | None:
        """The address with a number for its host; None where its name was not found yet."""
        return address if _is_number(address) else self._found.get(address)

    def is_settled(self, address: str) -> bool:
        """Whether `of` says what there is to say: a number, or that the name was not found."""
        return _is_number(address) or address in self._found or address in self._missing

    async def run(self) -> None:
        """Go on until cancelled. A name that is no longer found keeps its last number."""
        while True:
            self._asked.clear()
            await asyncio.gather(*(self._look_up(one) for one in sorted(self._wanted)))
            pause_s = RETRY_S if self._wanted - self._found.keys() else FRESH_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _look_up(self, address: str) -> None:
        try:
            _, (host, port, *_) = await self._names.find(address)
        except (OSError, InvalidInputError) as error:
            if address in self._wanted and address not in self._missing:
                self._missing.add(address)
                what = "a name is no longer found" if address in self._found else "a name is not found: it gets nothing"
                _log.warning(what, address=address, why=str(error))
                self._changed()
            return
        number = join_address(host, port)
        if address in self._wanted and (self._found.get(address) != number or address in self._missing):
            self._missing.discard(address)
            self._found[address] = number
            self._changed()


@lru_cache(ADDRESSES_KEPT)
def _is_number(address: str) -> bool:
    host, _ = split_address(address)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
