"""Loads what has to be there before grpc (see weftmesh.runtime.tls), and gives every example of hypothesis its time.

How long an example takes depends on what else the machine does; pytest-timeout bounds the test as a whole.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from weftmesh.runtime import tls as tls

settings.register_profile("weftmesh", parent=settings(), deadline=None)
settings.load_profile("weftmesh")


def pytest_configure(config: pytest.Config) -> None:
    """Name the directory of one of several workers shortly: the address of a socket has 107 characters."""
    if hasattr(config, "workerinput") and config.option.basetemp:
        number = config.workerinput["workerid"].removeprefix("gw")
        config.option.basetemp = str(Path(config.option.basetemp).parent / number)
