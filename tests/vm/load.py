"""Writes through every node of the machine's mesh, and what of them was acknowledged, as the host heard it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Self, TypedDict

from tests.vm import mesh
from tests.vm.machine import Machine

UNIT = "load.service"
PYTHON = ("/usr/lib/weftmesh/bin/python", "-I")
FIRST_ANSWER_TIMEOUT_S = 900.0
LISTING_TIMEOUT_S = 1_200.0


class Answer(TypedDict, total=False):
    """What a writer was told: of one that failed there is `failed`, of another one the task's name and title."""

    node: int
    at_s: float
    name: str
    title: str
    failed: str


class Load:
    """Writers in the machine from when it is entered until it is left, or until the machine is killed."""

    def __init__(self, machine: Machine, label: str, nodes: Sequence[int] = mesh.NODES) -> None:
        self._machine = machine
        self._label = label
        self._nodes = nodes
        self._offset = machine.said.stat().st_size

    def __enter__(self) -> Self:
        device = self._machine.run("sh", "-c", "dirname $(grep -lx said /sys/class/virtio-ports/*/name)").stdout.strip()
        words = [*PYTHON, "/host/guest/writing.py", f"/dev/{device.rpartition('/')[2]}", self._label]
        sockets = [mesh.socket(number) for number in self._nodes]
        self._machine.run("systemd-run", f"--unit={UNIT}", "--collect", "--quiet", *words, *sockets)
        self.wait_for(len(self._nodes))
        return self

    def __exit__(self, *_: object) -> None:
        if self._machine.is_running:
            self._machine.run("systemctl", "stop", UNIT)

    def answers(self) -> list[Answer]:
        """All that were given so far; the last line may be half of one, and is no answer then."""
        said = self._machine.said.read_bytes()[self._offset :]
        return [json.loads(line) for line in said.split(b"\n")[:-1]]

    def acknowledged(self) -> dict[str, str]:
        """Titles of the tasks that were made, by name."""
        return {one["name"]: one["title"] for one in self.answers() if "name" in one}

    def wait_for(self, more: int) -> None:
        """Return when so many more writes were acknowledged.

        Raises:
            AssertionError: that takes too long.
        """
        wanted = len(self.acknowledged()) + more
        deadline = time.monotonic() + FIRST_ANSWER_TIMEOUT_S
        while len(self.acknowledged()) < wanted:
            assert time.monotonic() < deadline, self.answers()[-3:]
            time.sleep(0.1)


def longest_silence_s(answers: Iterable[Answer], nodes: Iterable[int]) -> float:
    """The longest time without an acknowledgement by any of some nodes, in seconds."""
    among = set(nodes)
    moments = sorted(one["at_s"] for one in answers if "name" in one and one["node"] in among)
    return max(later - earlier for earlier, later in pairwise(moments))


def tasks_of(machine: Machine, number: int) -> dict[str, str]:
    """Titles of the tasks that a node has, by name."""
    words = (*PYTHON, "/host/guest/listing.py", mesh.socket(number))
    found: dict[str, str] = json.loads(machine.run(*words, timeout_s=LISTING_TIMEOUT_S).stdout)
    return found
