"""Every fault there is."""

from __future__ import annotations

from tests.faults import clocks, crashes, disks, needs, partitions, slowness
from tests.faults.network import Network
from tests.faults.runner import Fault
from tests.faults.site import Loopback

_NETWORK = (needs.namespaces, needs.program("ip"), needs.program("nft"))

FAULTS = (
    Fault("kill-leader", crashes.kill_leader, Loopback),
    Fault("kill-follower", crashes.kill_follower, Loopback),
    Fault("kill-all", crashes.kill_all, Loopback),
    Fault("pause-leader", crashes.pause_leader, Loopback, timeout_s=crashes.PAUSE_TIMEOUT_S),
    Fault("restart-in-turn", crashes.restart_in_turn, Loopback),
    Fault("isolate-leader", partitions.isolate_leader, Network, _NETWORK),
    Fault("isolate-follower", partitions.isolate_follower, Network, _NETWORK),
    Fault("split-in-two", partitions.split_in_two, Network, _NETWORK, nodes=5),
    Fault("cut-one-link", partitions.cut_one_link, Network, _NETWORK),
    Fault("cut-one-way", partitions.cut_one_way, Network, _NETWORK),
    Fault("cut-one-link-one-way", partitions.cut_one_link_one_way, Network, _NETWORK),
    Fault("flapping-link", partitions.flap, Network, _NETWORK),
    Fault("lost-packets", partitions.lose_packets, Network, _NETWORK),
    Fault("slow-follower", slowness.slow_follower, Network, (*_NETWORK, needs.program("tc"))),
    Fault("full-disk", disks.fill_disk, disks.SmallDisks, (needs.small_disk,)),
    Fault("failing-sync", disks.fail_sync, disks.BrokenSyncs, (needs.sync_breaker,)),
    Fault("jumping-clock", clocks.jump_clocks, clocks.ShiftedClocks, (needs.program("cc"),)),
)
