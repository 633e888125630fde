"""A wire in user space: each link is a pair of TUN devices, between which this process carries every packet, late.

    python -m tests.netns.wire --captures DIRECTORY [--seed N] NEAR,FAR,DELAY_US,JITTER_US ...

What the near end sends and what it gets is written to DIRECTORY/NEAR.pcap, at the moment at which it does. Nothing is
lost or reordered here. The process makes the devices where it starts, says `ready` and ends with its standard input;
moving the devices to their namespaces does not concern it.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.netns.pcap import PACKET_BYTES_MAX, Capture

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_DOWN_S: Final = 0.001
_FLUSH_NS: Final = 1_000_000_000
UNIX_NS: Final = time.time_ns() - time.monotonic_ns()
"""Added to the monotonic clock it gives Unix time, which no adjustment of the clock makes jump."""


@dataclass
class Direction:
    """One way of a link.

    Attributes:
        source: the device that packets come from.
        sink: the device that they go to.
        delay_ns: how long each takes at least.
        jitter_ns: how much longer it takes at most, evenly spread; a packet overtakes no other.
        capture: of the near end.
        outward: whether the near end is the source.
    """

    source: int
    sink: int
    delay_ns: int
    jitter_ns: int
    capture: Capture
    outward: bool
    _under_way: deque[tuple[int, bytes]] = field(default_factory=deque)

    @property
    def due_ns(self) -> int | None:
        """When the next packet arrives."""
        return self._under_way[0][0] if self._under_way else None

    def take(self, chance: random.Random) -> None:
        """Take in every packet that waits at the source."""
        while packet := _read(self.source):
            now_ns = time.monotonic_ns()
            due_ns = now_ns + self.delay_ns + chance.randint(0, self.jitter_ns)
            if self._under_way:
                due_ns = max(due_ns, self._under_way[-1][0])
            self._under_way.append((due_ns, packet))
            if self.outward:
                self.capture.write(UNIX_NS + now_ns, packet)

    def deliver(self) -> None:
        """Hand over every packet that is due."""
        while self._under_way and self._under_way[0][0] <= time.monotonic_ns():
            _, packet = self._under_way.popleft()
            now_ns = time.monotonic_ns()
            with suppress(OSError):  # a device that is not up yet, or no more, takes none
                os.write(self.sink, packet)
                if not self.outward:
                    self.capture.write(UNIX_NS + now_ns, packet)


def _read(device: int) -> bytes:
    """The next packet; empty if there is none."""
    try:
        return os.read(device, PACKET_BYTES_MAX)
    except BlockingIOError:
        return b""
    except OSError as error:
        if error.errno != errno.EBADFD:
            raise
        time.sleep(_DOWN_S)  # it is down while it moves, and readable all the same
        return b""


def open_tun(name: str) -> int:
    """Make a TUN device; it lives as long as the descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22s", name.encode(), _IFF_TUN | _IFF_NO_PI, b""))
    return device


def carry(directions: Sequence[Direction], captures: Sequence[Capture], chance: random.Random) -> None:
    """Carry packets until standard input ends."""
    by_source = {one.source: one for one in directions}
    stop = sys.stdin.fileno()
    flush_ns = time.monotonic_ns()
    while True:
        now_ns = time.monotonic_ns()
        wake_ns = min([flush_ns + _FLUSH_NS, *(due for one in directions if (due := one.due_ns) is not None)])
        # select waits to the microsecond; epoll would round up to a millisecond.
        readable, _, _ = select.select([*by_source, stop], (), (), max(0, wake_ns - now_ns) / 1e9)
        if stop in readable:
            return
        for source in readable:
            by_source[source].take(chance)
        for direction in directions:
            direction.deliver()
        if time.monotonic_ns() >= flush_ns + _FLUSH_NS:
            flush_ns = time.monotonic_ns()
            for capture in captures:
                capture.flush()


def main() -> None:
    """Make the links and carry."""
    parser = argparse.ArgumentParser(prog="python -m tests.netns.wire")
    parser.add_argument("--captures", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("links", nargs="+", metavar="NEAR,FAR,DELAY_US,JITTER_US")
    arguments = parser.parse_args()
    with suppress(PermissionError):  # a wire that waits for a processor would be a longer one
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    directions, captures = [], []
    for link in arguments.links:
        near, far, *us = link.split(",")
        delay_ns, jitter_ns = (int(one) * 1_000 for one in us)
        near_end, far_end = open_tun(near), open_tun(far)
        capture = Capture(arguments.captures / f"{near}.pcap")
        captures.append(capture)
        directions.append(Direction(near_end, far_end, delay_ns, jitter_ns, capture, outward=True))
        directions.append(Direction(far_end, near_end, delay_ns, jitter_ns, capture, outward=False))
    print("ready", flush=True)
    try:
        carry(directions, captures, random.Random(arguments.seed))
    finally:
        for capture in captures:
            capture.close()


if __name__ == "__main__":
    main()
