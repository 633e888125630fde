"""The version of this build.

As a constant, since a process that runs is what it was when it was started, whatever was installed meanwhile; and
since importlib.metadata, which reads what is installed, takes a parser of mail and one of zip files: 1 MiB.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""As in pyproject.toml."""
