"""A network namespace for each node, joined by a bridge: links that can be cut, and packets that can be lost."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from weftmesh.cli.dev_node import DevNode

PREFIX = "wm"
"""Of every name made here; the maker's pid follows."""
NETWORK = "198.18"
"""A range that is set aside for benchmarks of networks (RFC 2544)."""
MESH_PORT, ENROLL_PORT = 7450, 7451
RULES = """
table inet faults {
  set from { type ipv4_addr; }
  set to { type ipv4_addr; }
  chain arriving {
    type filter hook input priority 0;
    ip saddr @from drop
  }
  chain lossy {
  }
  chain leaving {
    type filter hook output priority 0;
    ip daddr @to drop
    jump lossy
  }
}
"""


class NetworkError(Exception):
    """A command that makes or changes the network failed."""


@dataclass(frozen=True, slots=True)
class Place:
    """One node's place.

    Attributes:
        namespace: its network namespace, which is also the name of its end of the link.
        link: the other end of its link, on the bridge.
        address: its IPv4 address.
    """

    namespace: str
    link: str
    address: str


class Network:
    """The namespaces of one mesh, a `Site`. Needs root, `ip` and `nft`."""

    def __init__(self, count: int) -> None:
        remove_leftovers()
        pid = os.getpid()
        subnet = f"{NETWORK}.{pid % 250 + 1}"
        self._bridge = f"{PREFIX}{pid}b"
        self.places = {
            f"node{number}": Place(f"{PREFIX}{pid}n{number}", f"{PREFIX}{pid}h{number}", f"{subnet}.{number}")
            for number in range(1, count + 1)
        }
        try:
            run("ip", "link", "add", self._bridge, "type", "bridge")
            run("ip", "address", "add", f"{subnet}.254/24", "dev", self._bridge)
            run("ip", "link", "set", self._bridge, "up")
            for place in self.places.values():
                self._make(place)
        except BaseException:
            self.close()
            raise

    def _make(self, place: Place) -> None:
        run("ip", "netns", "add", place.namespace)
        run("ip", "link", "add", place.link, "type", "veth", "peer", "name", place.namespace)
        run("ip", "link", "set", place.namespace, "netns", place.namespace)
        run("ip", "link", "set", place.link, "master", self._bridge)
        run("ip", "link", "set", place.link, "up")
        inside = ("ip", "-n", place.namespace)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "address", "add", f"{place.address}/24", "dev", place.namespace)
        run(*inside, "link", "set", place.namespace, "up")
        self._nft(place, RULES)

    def place(self, node: DevNode) -> None:
        """Let a node run in its namespace and listen on its address there."""
        place = self.places[node.name]
        node.prefix = ("ip", "netns", "exec", place.namespace)
        node.listen = f"{place.address}:{MESH_PORT}"
        node.enroll = f"{place.address}:{ENROLL_PORT}"

    def unplug(self, name: str) -> None:
        """Take a node's link down: it reaches nobody, and nobody reaches it."""
        run("ip", "link", "set", self.places[name].link, "down")

    def plug(self, name: str) -> None:
        """Bring its link up again."""
        run("ip", "link", "set", self.places[name].link, "up")

    def drop(self, name: str, *, arriving_from: Iterable[str] = (), leaving_to: Iterable[str] = ()) -> None:
        """Drop packets at a node without a word, by direction and by the other node."""
        for chosen, others in (("from", arriving_from), ("to", leaving_to)):
            if addresses := ", ".join(self.places[other].address for other in others):
                self._nft(self.places[name], f"add element inet faults {chosen} {{ {addresses} }}")

    def split(self, *sides: Iterable[str]) -> None:
        """Cut every connection between nodes of different sides."""
        groups = [set(side) for side in sides]
        for group in groups:
            others = set().union(*groups) - group
            for name in group:
                self.drop(name, arriving_from=others, leaving_to=others)

    def lose(self, name: str, percent: int) -> None:
        """Lose this share of the packets that leave a node."""
        rule = f"add rule inet faults lossy numgen random mod 100 < {percent} drop"
        self._nft(self.places[name], rule)

    def throttle(self, name: str, kilobits_per_s: int) -> None:
        """Let what leaves a node, and what comes to it, wait in a queue before a thin link."""
        limit = ("rate", f"{kilobits_per_s}kbit", "burst", "4kb", "latency", "500ms")
        for namespace, device in self._ends(self.places[name]):
            run("tc", *namespace, "qdisc", "replace", "dev", device, "root", "tbf", *limit)

    @staticmethod
    def _ends(place: Place) -> list[tuple[tuple[str, ...], str]]:
        """Both ends of a link: how `tc` gets there, and the device."""
        return [(("-n", place.namespace), place.namespace), ((), place.link)]

    def heal(self) -> None:
        """Undo everything that was done to the links."""
        for name, place in self.places.items():
            self.plug(name)
            self._nft(place, "flush set inet faults from\nflush set inet faults to\nflush chain inet faults lossy")
            for namespace, device in self._ends(place):
                run("tc", *namespace, "qdisc", "del", "dev", device, "root", check=False)

    def close(self) -> None:
        """Remove the namespaces, the links and the bridge."""
        for place in self.places.values():
            run("ip", "link", "del", place.link, check=False)
            run("ip", "netns", "del", place.namespace, check=False)
        run("ip", "link", "del", self._bridge, check=False)

    @staticmethod
    def _nft(place: Place, rules: str) -> None:
        run("ip", "netns", "exec", place.namespace, "nft", "-f", "-", text=rules)


def remove_leftovers() -> None:
    """Remove what a run left behind that was killed before it could clean up."""
    name = re.compile(rf"({PREFIX}(\d+)[nhb]\d*)\b")
    for listing, remove in ((("ip", "-o", "link"), ("link",)), (("ip", "netns", "list"), ("netns",))):
        for found, pid in name.findall(run(*listing, check=False)):
            if not Path(f"/proc/{pid}").exists():
                run("ip", *remove, "del", found, check=False)


def run(*command: str, text: str | None = None, check: bool = True) -> str:
    """Run a command with `text` as its input; what it printed.

    Raises:
        NetworkError: it failed, and `check` is set.
    """
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise NetworkError(f"`{' '.join(command)}` failed with {done.returncode}: {done.stderr.strip()} {text or ''}")
    return done.stdout
