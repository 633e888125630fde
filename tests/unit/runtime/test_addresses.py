from __future__ import annotations

import pytest

from weftmesh.runtime.addresses import local_address


@pytest.mark.parametrize(
    ("listen", "local"),
    [
        ("0.0.0.0:7450", "127.0.0.1:7450"),
        ("[::]:7450", "[::1]:7450"),
        ("[0::0]:7450", "[::1]:7450"),
        ("10.0.0.7:7450", "10.0.0.7:7450"),
        ("node1.example.org:7450", "node1.example.org:7450"),
    ],
)
def test_what_listens_everywhere_is_reached_over_loopback(listen: str, local: str) -> None:
    assert local_address(listen) == local
