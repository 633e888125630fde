"""What the router is told on its command line: the node's configuration, or each place by itself."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from weftmesh.core.errors import ConfigError, InvalidInputError
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.config import Config, RouterLimitsConfig, load_config
from weftmesh.runtime.config_schema import KEYS
from weftmesh.runtime.metrics.beside import HELP as METRICS_HELP
from weftmesh.runtime.telemetry import LEVELS

NODE_SOCKET: Final = "api.sock"
ROUTER_SOCKET: Final = "router.sock"
XDS_SOCKET: Final = "xds.sock"
STATE_DIRECTORY: Final = "router"


def default_limits() -> RouterLimitsConfig:
    """What a router takes on that reads no configuration."""
    return RouterLimitsConfig(**{key.name: key.default("") for key in KEYS.values() if key.section == "router"})  # type: ignore[arg-type]  # all of them are integers


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """How one router runs.

    Attributes:
        socket: the node's local socket.
        listen: the router's own socket; xDS clients of this machine connect beside it.
        state_dir: what the router keeps; its alone.
        group: who may connect beside the router's own user; empty for its own group.
        xds: host:port for xDS clients of other machines; empty for none.
        identity: the node's certificate and key, needed for `xds`.
        probe_ca: certificates of authorities that probes over TLS trust.
        critical_lane: probes of critical services are made by a process that goes before all others.
        log_level: one of `telemetry.LEVELS`.
        log_format: console or json.
        metrics: a Unix socket to serve them on; None for nowhere.
        limits: what callers may ask of it.
    """

    socket: str
    listen: Path
    state_dir: Path
    group: str = ""
    xds: str = ""
    identity: Path | None = None
    probe_ca: Path | None = None
    critical_lane: bool = False
    log_level: str = "info"
    log_format: str = "console"
    metrics: Path | None = None
    limits: RouterLimitsConfig = field(default_factory=default_limits)

    @property
    def xds_socket(self) -> Path:
        """Where xDS clients of this machine connect."""
        return self.listen.with_name(XDS_SOCKET)


def parse_arguments(arguments: Sequence[str] | None = None) -> RouterConfig:
    """Read the command line and the node's configuration; ends the process with a usage message where it cannot.

    Raises:
        ConfigError: the configuration has problems, or a place is not said.
        InvalidInputError: --xds is no address.
    """
    found = _parser().parse_args(arguments)
    node = load_config(found.config, environment=os.environ) if found.config or not found.socket else None
    state_dir: Path | None = found.state_dir or (node.node.data_dir / STATE_DIRECTORY if node else None)
    if state_dir is None:
        raise ConfigError("--state-dir: say where the router keeps its state, or name the node's file with --config")
    identity: Path | None = found.identity or (node.node.data_dir / "identity" if node else None)
    if found.xds and identity is None:
        raise ConfigError("--xds: the node's certificate is needed; name it with --identity, or its file with --config")
    if found.xds:
        split_address(found.xds)
    socket = found.socket or str(_run_dir(node) / NODE_SOCKET)
    return RouterConfig(
        socket,
        (found.listen or Path(socket).with_name(ROUTER_SOCKET)).absolute(),
        state_dir.absolute(),
        node.mesh.group if node else "",
        found.xds,
        identity,
        found.probe_ca,
        found.critical_lane,
        found.log_level or (node.log.level if node else "info"),
        found.log_format or (node.log.format if node else "console"),
        found.metrics,
        node.router if node else default_limits(),
    )


def _run_dir(node: Config | None) -> Path:
    if node is None:
        raise InvalidInputError("--socket: say where the node listens, or name its file with --config")
    return node.node.run_dir


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m weftmesh.router", description="Decides where this node's requests go, by its agreements."
    )
    parser.add_argument("--config", type=Path, help="the node's weftmesh.toml; by default as for the node")
    parser.add_argument("--socket", help="the node's local socket; else as the configuration says")
    parser.add_argument("--listen", type=Path, help="the router's own socket; else router.sock beside the node's")
    parser.add_argument("--state-dir", type=Path, help="what the router keeps; else DATA/router")
    parser.add_argument("--xds", default="", help="HOST:PORT for xDS clients of other machines, over mutual TLS")
    parser.add_argument("--identity", type=Path, help="the node's certificate and key; else DATA/identity")
    parser.add_argument("--probe-ca", type=Path, help="certificates, in PEM, that probes over TLS trust")
    parser.add_argument("--critical-lane", action="store_true", help="critical probes run under SCHED_RR; see the docs")
    parser.add_argument("--metrics", type=Path, help=METRICS_HELP)
    parser.add_argument("--log-level", choices=LEVELS)
    parser.add_argument("--log-format", choices=("console", "json"))
    return parser
