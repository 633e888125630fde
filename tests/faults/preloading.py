"""Libraries that are preloaded into nodes, made from the C files beside this."""

from __future__ import annotations

from pathlib import Path

from tests.faults.network import run


def compiled(name: str, directory: Path) -> Path:
    """Compile NAME.c into a library under `directory`."""
    library = directory / f"{name}.so"
    run(
        "cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(Path(__file__).with_name(f"{name}.c")), "-ldl"
    )
    return library
