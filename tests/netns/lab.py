"""A lab of network namespaces: one to probe from, and backends behind links that are slow and lose packets.

Packets are late in user space (`wire.py`) and get lost by nft at the backend, behind the wire: what the wire's log
shows at the near end is what somebody there sends and gets. Everything is named after the maker's pid and gone at the
end; what a killed run left is removed by the next one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults import needs
from tests.faults.network import NetworkError, run

ROOT: Final = Path(__file__).resolve().parents[2]
PREFIX: Final = "wlab"
"""Of every namespace and device made here; the maker's pid follows."""
NETWORK: Final = "198.19"
"""A range that is set aside for benchmarks of networks (RFC 2544)."""
PORTS: Final = (8080, 8081, 8082)
"""On which each backend answers."""
STOP_S: Final = 10.0
RULES: Final = """
table inet lab {
  chain arriving {
    type filter hook input priority 0;
  }
  chain leaving {
    type filter hook output priority 0;
  }
}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a backend and the way to it shall be.

    Attributes:
        name: of the backend.
        delay_us: of a packet, each way, at least.
        jitter_us: how much more at most, evenly spread.
        arriving_lost_permille: of the packets that come to the backend.
        leaving_lost_permille: of the packets that it sends.
        failing_permille: of the requests, which get an error.
    """

    name: str
    delay_us: int
    jitter_us: int = 0
    arriving_lost_permille: int = 0
    leaving_lost_permille: int = 0
    failing_permille: int = 0


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend in its place.

    Attributes:
        plan: how it shall be.
        namespace: where it runs.
        near: the device at the prober's end of its link.
        far: the device at its own end.
        source: the prober's address on this link.
        addresses: its own ones.
        capture: what the near end sent and got.
    """

    plan: Plan
    namespace: str
    near: str
    far: str
    source: str
    addresses: tuple[str, ...]
    capture: Path


class Lab:
    """What was made; see `lab`."""

    def __init__(self, backends: dict[str, Backend], namespace: str, wire: subprocess.Popen[str]) -> None:
        self.backends = backends
        self.namespace = namespace
        self._wire = wire

    @property
    def inside(self) -> tuple[str, ...]:
        """What starts a program where the prober is; it does not fork."""
        return ("ip", "netns", "exec", self.namespace)

    @property
    def captures(self) -> dict[Path, str]:
        """What the prober's end of each link sent and got, and its address there."""
        return {one.capture: one.source for one in self.backends.values()}

    def unplug(self) -> None:
        """End the wire: nothing passes any more, and its log is whole."""
        end(self._wire)


def missing() -> str:
    """What a lab needs and this machine lacks; empty if nothing."""
    device = "" if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "there is no /dev/net/tun"
    reasons = (needs.namespaces(), needs.program("ip")(), needs.program("nft")(), device)
    return "; ".join(reason for reason in reasons if reason)


@contextmanager
def lab(plans: Sequence[Plan], *, seed: int = 1, addresses: int = 1) -> Iterator[Lab]:
    """A lab for as long as the block runs; its captures are gone afterwards, too.

    Args:
        plans: of the backends.
        seed: of what is left to chance, but for nft, which has its own.
        addresses: of each backend.

    Raises:
        NetworkError: it cannot be made.
    """
    remove_leftovers()
    name = f"{PREFIX}{os.getpid()}"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weftmesh-lab-")))
        backends = {
            plan.name: Backend(
                plan,
                f"{name}b{number}",
                f"{name}n{number}",
                f"{name}f{number}",
                f"{NETWORK}.{number}.1",
                tuple(f"{NETWORK}.{number}.{10 + host}" for host in range(addresses)),
                directory / f"{name}n{number}.pcap",
            )
            for number, plan in enumerate(plans, 1)
        }
        _make_namespace(stack, prober := f"{name}p")
        # Sockets that send echo requests without any right are the probers' way; a new namespace allows them to nobody.
        run("ip", "netns", "exec", prober, "tee", "/proc/sys/net/ipv4/ping_group_range", text="0 2147483647")
        wire = _start_wire(stack, list(backends.values()), directory, seed)
        for backend in backends.values():
            _make_namespace(stack, backend.namespace)
            _place(backend.near, prober, (backend.source,))
            _place(backend.far, backend.namespace, backend.addresses)
            _lose(backend)
            _start_server(stack, backend, seed)
        yield Lab(backends, prober, wire)


def remove_leftovers() -> None:
    """Remove the namespaces of runs that were killed; their processes and devices ended with them."""
    for found, pid in re.findall(rf"^({PREFIX}(\d+)[pb]\d*)\b", run("ip", "netns", "list", check=False), re.MULTILINE):
        if not Path(f"/proc/{pid}").exists():
            run("ip", "netns", "del", found, check=False)


def end(process: subprocess.Popen[str]) -> None:
    """End one of the processes that end with their standard input."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _make_namespace(stack: ExitStack, name: str) -> None:
    run("ip", "netns", "add", name)
    stack.callback(run, "ip", "netns", "del", name, check=False)
    run("ip", "-n", name, "link", "set", "lo", "up")


def _start(stack: ExitStack, *command: str) -> subprocess.Popen[str]:
    """Start a process that says `ready` and ends with its standard input."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(end, process)
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise NetworkError(f"`{' '.join(command)}` did not come up")
    return process


def _start_wire(stack: ExitStack, backends: Sequence[Backend], directory: Path, seed: int) -> subprocess.Popen[str]:
    links = [f"{one.near},{one.far},{one.plan.delay_us},{one.plan.jitter_us}" for one in backends]
    module = (sys.executable, "-m", "tests.netns.wire")
    return _start(stack, *module, "--captures", str(directory), "--seed", str(seed), *links)


def _place(device: str, namespace: str, addresses: Sequence[str]) -> None:
    run("ip", "link", "set", device, "netns", namespace)
    for address in addresses:
        run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", device)
    run("ip", "-n", namespace, "link", "set", device, "up")


def _lose(backend: Backend) -> None:
    inside = ("ip", "netns", "exec", backend.namespace)
    plan = backend.plan
    rules = [RULES]
    for chain, permille in (("arriving", plan.arriving_lost_permille), ("leaving", plan.leaving_lost_permille)):
        if permille:
            rules.append(f"add rule inet lab {chain} numgen random mod 1000 < {permille} drop\n")
    run(*inside, "nft", "-f", "-", text="".join(rules))


def _start_server(stack: ExitStack, backend: Backend, seed: int) -> None:
    server = (sys.executable, "-m", "tests.netns.backend", "--ports", ",".join(map(str, PORTS)))
    chance = ("--failing-permille", str(backend.plan.failing_permille), "--seed", str(seed))
    _start(stack, "ip", "netns", "exec", backend.namespace, *server, *chance)
