"""What holds for every test: imports in order (see weftmesh.runtime.tls), time for hypothesis, logging as it was.

How long an example takes depends on what else the machine does; pytest-timeout bounds the test as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from weftmesh.runtime import tls as tls

settings.register_profile("weftmesh", parent=settings(), deadline=None)
settings.load_profile("weftmesh")


def pytest_configure(config: pytest.Config) -> None:
    """Name the directory of one of several workers shortly: the address of a socket has 107 characters."""
    if hasattr(config, "workerinput") and config.option.basetemp:
        number = config.workerinput["workerid"].removeprefix("gw")
        config.option.basetemp = str(Path(config.option.basetemp).parent / number)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a test did to the logging of the process, so that no other test reads its lines elsewhere."""
    root = logging.getLogger()
    configured, handlers, level = structlog.get_config(), list(root.handlers), root.level
    yield
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)
