"""Which attacks a run consists of: from a seed, each kind as often as the others, at every door that it fits."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.hostile import before_tls, broken_frames, floods
from tests.hostile.before_tls import Attack
from tests.hostile.doors import Door

INSIDE: Final[dict[str, Attack]] = broken_frames.KINDS | floods.KINDS
EVERYWHERE: Final[dict[str, Attack]] = before_tls.KINDS | INSIDE
SHARES: Final = {
    "mesh port": 56,
    "enrolment port": 18,
    "xDS port": 10,
    "local socket": 8,
    "router.sock": 4,
    "xds.sock": 4,
}
"""Of a hundred attacks."""
ROUTERS: Final = ("xDS port", "router.sock", "xds.sock")
"""The doors of a router."""
WHOLE: Final = 100
"""From this many attacks on, those are among them that take ten seconds."""
SLOW: Final = frozenset({"ClientHello, a byte a second", "request, a byte a second", "idle TLS sessions"})


@dataclass(frozen=True)
class Input:
    """One attack.

    Attributes:
        kind: its name.
        attack: carries it out.
        door: where it goes.
        seed: of all that it leaves to chance.
    """

    kind: str
    attack: Attack
    door: Door
    seed: int


def inputs(doors: list[Door], count: int, seed: int) -> list[Input]:
    """About `count` attacks, at least one at each door, in an order by chance; few of them are also quick ones."""
    rng = random.Random(seed)
    shares = sum(SHARES[door.name] for door in doors)
    found = []
    for door in doors:
        kinds = list((INSIDE if door.is_local else EVERYWHERE).items())
        if count < WHOLE:
            kinds = [kind for kind in kinds if kind[0] not in SLOW]
        rng.shuffle(kinds)
        for number in range(max(1, round(count * SHARES[door.name] / shares))):
            name, attack = kinds[number % len(kinds)]
            found.append(Input(name, attack, door, rng.getrandbits(32)))
    rng.shuffle(found)
    if count < WHOLE:
        return found
    found += [Input(name, attack, doors[0], rng.getrandbits(32)) for name, attack in floods.ONCE.items()]
    return found
