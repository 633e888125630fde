"""Hatch build hook: compiles proto/**/*.proto beside their sources when a stub is absent or older than its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The newest release that emits protobuf 6 code; a later one emits code that the runtime we allow refuses to load.
GRPCIO_TOOLS = "grpcio-tools==1.81.1"


class ProtoBuildHook(BuildHookInterface[Any]):
    """Generates messages, type stubs and gRPC stubs, and adds them to the wheel and the sdist."""

    PLUGIN_NAME = "custom"

    @property
    def _proto_root(self) -> Path:
        return Path(self.root, "proto")

    def _stale_sources(self) -> list[Path]:
        stale = []
        for source in sorted(self._proto_root.rglob("*.proto")):
            stub = source.with_name(source.stem + "_pb2.py")
            if not stub.exists() or stub.stat().st_mtime < source.stat().st_mtime:
                stale.append(source)
        return stale

    def dependencies(self) -> list[str]:
        """Ask for the compiler only when there is something to compile: an sdist carries its stubs."""
        return [GRPCIO_TOOLS] if self._stale_sources() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002, set by hatchling
        """Compile what is stale, then list every stub as an artifact."""
        if stale := self._stale_sources():
            compile_protos(self._proto_root, stale)
        for stub in sorted(self._proto_root.rglob("*_pb2*.py*")):
            build_data["artifacts"].append("/" + str(stub.relative_to(self.root)))


def compile_protos(root: Path, sources: list[Path]) -> None:
    """Run protoc on `sources`, which lie under `root`.

    Raises:
        RuntimeError: protoc refused a source; its own message is on stderr.
    """
    from importlib.resources import files

    from grpc_tools import protoc

    arguments = ["protoc", f"-I{root}", f"-I{files('grpc_tools') / '_proto'}"]
    arguments += [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
    arguments += [str(source.relative_to(root)) for source in sources]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed; see its message above")
