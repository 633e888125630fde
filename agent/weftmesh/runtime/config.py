"""The configuration: defaults, then `weftmesh.toml`, then `conf.d/*.toml` beside it, then WEFTMESH_SECTION_KEY.

Every value remembers where it came from, and all problems are found in one go.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from weftmesh.core.errors import ConfigError
from weftmesh.runtime.addresses import is_wildcard, join_address, split_address
from weftmesh.runtime.config_schema import KEYS, SECTIONS, Key, SettingValue
from weftmesh.runtime.config_sources import Entry, Problem, did_you_mean, read_environment, read_files

DEFAULT_PATH: Final = Path("/etc/weftmesh/weftmesh.toml")
PATH_VARIABLE: Final = "WEFTMESH_CONFIG"
# Fewer heartbeats than this within an election timeout, and one late packet deposes a healthy leader.
HEARTBEATS_PER_ELECTION_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Who this node is and where it keeps its files."""

    name: str
    data_dir: Path
    run_dir: Path


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """Where this node listens ("host:port"), what others dial, and the group that may use the local socket."""

    listen: str
    advertise: str
    enroll_listen: str
    group: str


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Where this node's certificate comes from: the mesh's own authority, or files that somebody else looks after."""

    mode: str
    cert_file: str
    key_file: str
    ca_file: str

    @property
    def from_files(self) -> bool:
        """Whether certificates come from elsewhere."""
        return self.mode == "files"


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """The replicated log's times and durability."""

    fsync: bool
    heartbeat_ms: int
    election_timeout_ms: tuple[int, int]
    snapshot_every_entries: int


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What one node takes on at most."""

    max_message_bytes: int
    max_pending_writes: int
    watchers: int
    writes_per_s: int
    reads_per_s: int
    member_calls_per_s: int
    calls_per_caller: int
    watchers_per_caller: int
    write_streams_per_caller: int
    connections: int
    connections_per_address: int


@dataclass(frozen=True, slots=True)
class RouterLimitsConfig:
    """What the router beside the node takes on at most."""

    max_message_bytes: int
    watchers: int
    writes_per_s: int
    member_calls_per_s: int
    calls_per_caller: int
    watchers_per_caller: int
    connections: int
    connections_per_address: int


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where metrics are served ("host:port"); empty for nowhere."""

    listen: str


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """How long the audit log is kept, and whether changes are refused while it cannot be written."""

    keep_days: int
    keep_mib: int
    strict: bool


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How much is logged, and in which form."""

    level: str
    format: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force and its origin: "default", "FILE:LINE" or "environment NAME"."""

    section: str
    key: str
    value: SettingValue
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that may be set; `settings` has the same values with their origins, in the order of the schema."""

    node: NodeConfig
    mesh: MeshConfig
    tls: TlsConfig
    raft: RaftConfig
    limits: LimitsConfig
    router: RouterLimitsConfig
    metrics: MetricsConfig
    audit: AuditConfig
    log: LogConfig
    settings: tuple[Setting, ...]


def load_config(path: Path | None, *, environment: Mapping[str, str], host: str | None = None) -> Config:
    """Read the configuration.

    Args:
        path: the file; None for $WEFTMESH_CONFIG, else `DEFAULT_PATH` if that exists, else defaults alone.
        environment: usually `os.environ`.
        host: this host's name, for the defaults that depend on it; asked of the system when None.

    Raises:
        ConfigError: anything is wrong; the message lists every problem, one a line.
    """
    settings, problems = _collect(path, environment, host)
    if problems:
        raise ConfigError(
            "the configuration has problems:\n" + "\n".join(f"  {problem}" for problem in problems),
            metadata={"problems": str(len(problems))},
        )
    return _build(settings)


def validate_config(path: Path | None, *, environment: Mapping[str, str], host: str | None = None) -> list[Problem]:
    """Find every problem that `load_config` would report; empty when it would succeed."""
    return _collect(path, environment, host)[1]


def _collect(
    path: Path | None, environment: Mapping[str, str], host: str | None
) -> tuple[dict[tuple[str, str], Setting], list[Problem]]:
    problems: list[Problem] = []
    chosen, required = _choose_file(path, environment)
    entries = read_files(chosen, required=required, problems=problems)
    entries += read_environment(environment, problems=problems)
    host = host or socket.gethostname()
    settings = {where: Setting(*where, key.default(host), "default") for where, key in KEYS.items()}
    for entry in entries:
        if accepted := _accept(entry, problems):
            settings[entry.section, entry.key] = accepted
    _derive(settings)
    if not problems:
        problems += _check_together(settings)
    return settings, problems


def _choose_file(path: Path | None, environment: Mapping[str, str]) -> tuple[Path, bool]:
    """Where the file is, and whether it must exist because somebody named it."""
    if path is not None:
        return path, True
    named = environment.get(PATH_VARIABLE)
    return (Path(named), True) if named else (DEFAULT_PATH, False)


def _accept(entry: Entry, problems: list[Problem]) -> Setting | None:
    key = KEYS.get((entry.section, entry.key))
    if key is None:
        problems.append(entry.problem(_unknown(entry)))
        return None
    try:
        found = key.kind.from_text(entry.found) if entry.is_text and isinstance(entry.found, str) else entry.found
        return Setting(entry.section, entry.key, key.kind.accept(found), entry.origin)
    except ValueError:
        problems.append(entry.problem(f"found {_shown(entry.found)}, allowed is {key.kind.allowed}"))
        return None


def _unknown(entry: Entry) -> str:
    if entry.section not in SECTIONS:
        return f"unknown section [{entry.section}]{did_you_mean(entry.section, SECTIONS)}"
    names = [name for section, name in KEYS if section == entry.section]
    return f"unknown key {entry.key!r}{did_you_mean(entry.key, names)}"


def _shown(found: Any) -> str:
    return f'"{found}"' if isinstance(found, str) else str(found).lower() if isinstance(found, bool) else str(found)


def _derive(settings: dict[tuple[str, str], Setting]) -> None:
    """Unless told otherwise, advertise what is listened on: as it is, or by this host's name when it is a wildcard."""
    listen, advertise = settings["mesh", "listen"], settings["mesh", "advertise"]
    if advertise.origin != "default" or listen.origin == "default":
        return
    host, port = split_address(str(listen.value))
    if is_wildcard(str(listen.value)):
        host = str(advertise.value).rpartition(":")[0]
    settings["mesh", "advertise"] = Setting("mesh", "advertise", join_address(host, port), "default")


def _check_together(settings: Mapping[tuple[str, str], Setting]) -> list[Problem]:
    """What no single value can show."""
    problems = [problem for where in KEYS if (problem := _bad_default(KEYS[where], settings[where]))]
    heartbeat, election = settings["raft", "heartbeat_ms"], settings["raft", "election_timeout_ms"]
    assert isinstance(heartbeat.value, int)  # noqa: S101, the schema says so
    assert isinstance(election.value, tuple)  # noqa: S101, the schema says so
    if election.value[0] < HEARTBEATS_PER_ELECTION_MIN * heartbeat.value:
        message = (
            f"found {list(election.value)} with heartbeat_ms = {heartbeat.value} ({heartbeat.origin}): the lower bound"
            f" must be at least {HEARTBEATS_PER_ELECTION_MIN} heartbeats"
        )
        problems.append(Problem(election.origin, "raft", "election_timeout_ms", message))
    advertise = settings["mesh", "advertise"]
    if is_wildcard(str(advertise.value)):
        message = f'found "{advertise.value}", which no other node can dial; name this host'
        problems.append(Problem(advertise.origin, "mesh", "advertise", message))
    return problems + _check_tls(settings)


def _check_tls(settings: Mapping[tuple[str, str], Setting]) -> list[Problem]:
    mode = settings["tls", "mode"]
    files = [settings["tls", key] for key in ("cert_file", "key_file", "ca_file")]
    if mode.value == "files":
        message = 'is empty; mode = "files" needs cert_file, key_file and ca_file'
        return [Problem(mode.origin, "tls", one.key, message) for one in files if not one.value]
    message = f'found "{mode.value}", which reads no files; set mode = "files", or leave this out'
    return [Problem(one.origin, "tls", "mode", message) for one in files if one.value][:1]


def _bad_default(key: Key, setting: Setting) -> Problem | None:
    """A default that comes from the host's name may not fit; then it has to be set."""
    if setting.origin != "default" or not isinstance(setting.value, str):
        return None
    try:
        key.kind.accept(setting.value)
    except ValueError:
        message = f'the default "{setting.value}" comes from this host\'s name and does not fit; set {key.kind.allowed}'
        return Problem(setting.origin, key.section, key.name, message)
    return None


def _build(settings: Mapping[tuple[str, str], Setting]) -> Config:
    def section(name: str) -> dict[str, Any]:
        return {setting.key: setting.value for setting in settings.values() if setting.section == name}

    return Config(
        node=NodeConfig(**section("node")),
        mesh=MeshConfig(**section("mesh")),
        tls=TlsConfig(**section("tls")),
        raft=RaftConfig(**section("raft")),
        limits=LimitsConfig(**section("limits")),
        router=RouterLimitsConfig(**section("router")),
        metrics=MetricsConfig(**section("metrics")),
        audit=AuditConfig(**section("audit")),
        log=LogConfig(**section("log")),
        settings=tuple(settings.values()),
    )
