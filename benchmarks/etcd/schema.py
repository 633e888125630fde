"""etcd's messages, compiled from kv.proto when they are first needed."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from benchmarks import report

SOURCE: Final = Path(__file__).with_name("kv.proto")
STUB: Final = report.DIRECTORY / "etcd-proto" / "kv_pb2.py"


@cache
def messages() -> Any:
    """The generated module.

    Raises:
        RuntimeError: the compiler refused kv.proto; its message is on stderr.
    """
    if not STUB.exists() or STUB.stat().st_mtime < SOURCE.stat().st_mtime:
        _compile()
    spec = importlib.util.spec_from_file_location("benchmarks_etcd_kv_pb2", STUB)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{STUB} cannot be imported; remove it and run again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _compile() -> None:
    from grpc_tools import protoc  # type: ignore[import-untyped]  # a development dependency, and slow to import

    STUB.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STUB.parent) as directory:
        arguments = ["protoc", f"-I{SOURCE.parent}", f"-I{files('grpc_tools') / '_proto'}", f"--python_out={directory}"]
        if protoc.main([*arguments, SOURCE.name]) != 0:
            raise RuntimeError(f"protoc refused {SOURCE}; its message is above")
        os.replace(Path(directory) / STUB.name, STUB)  # whole, for other processes that look for it now
