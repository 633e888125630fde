"""Tells systemd how a daemon is doing (sd_notify(3)); silent where nobody listens."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send one state, such as `READY=1`, to the supervisor. Returns whether there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract address
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)
    return True
