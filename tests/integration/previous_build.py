"""An earlier build of this repository, taken out of its history: to run beside the present one."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.resources import files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
BEFORE_LEVELS: Final = "457716553b7d73b53466a290d6c12e8690a6596d"
SOURCES: Final = ("agent", "coordinator", "proto")


def environment_of(commit: str, directory: Path) -> dict[str, str]:
    """What makes the interpreter that runs now find the build of `commit`, unpacked into `directory`, before ours."""
    _unpack(commit, directory)
    _compile_protos(directory / "proto")
    return {"PYTHONPATH": os.pathsep.join(str(directory / source) for source in SOURCES)}


def _unpack(commit: str, directory: Path) -> None:
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit, *SOURCES], capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the history of this tree does not reach back to {commit[:9]}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, filter="data")


def _compile_protos(root: Path) -> None:
    if find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed, and the earlier build's stubs have to be made; see `make setup`")
    sources = [str(path.relative_to(root)) for path in root.rglob("*.proto")]
    outputs = [f"--{kind}_out=." for kind in ("python", "pyi", "grpc_python")]
    includes = ["-I.", f"-I{files('grpc_tools') / '_proto'}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *outputs, *sources]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
