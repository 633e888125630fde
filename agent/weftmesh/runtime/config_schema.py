"""Every setting: section, key, default and what is allowed. A new one is a row here and a field in `config`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.names import NAME_ALLOWED, NAME_PATTERN

SettingValue = str | int | bool | Path | tuple[int, int]

CONFIG_VERSION: Final = 1
MIB: Final = 1024 * 1024
CREDENTIALS_PREFIX: Final = "$CREDENTIALS_DIRECTORY/"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be.

    Attributes:
        allowed: the same in words, for an error message.
        accept: turns a TOML value into the setting's; ValueError when it is not allowed.
        from_text: turns an environment variable into what TOML would have held; ValueError when it cannot.
    """

    allowed: str
    accept: Callable[[Any], SettingValue]
    from_text: Callable[[str], object] = str


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _text(pattern: re.Pattern[str], allowed: str) -> Kind:
    def accept(found: Any) -> str:
        _require(isinstance(found, str) and pattern.fullmatch(found) is not None)
        return str(found)

    return Kind(allowed, accept)


def _choice(*words: str) -> Kind:
    def accept(found: Any) -> str:
        _require(isinstance(found, str) and found in words)
        return str(found)

    return Kind("one of " + ", ".join(f'"{word}"' for word in words), accept)


def _flag() -> Kind:
    def accept(found: Any) -> bool:
        _require(isinstance(found, bool))
        return bool(found)

    return Kind("true or false", accept, lambda text: {"true": True, "false": False}.get(text, text))


def _integer(low: int, high: int) -> Kind:
    def accept(found: Any) -> int:
        _require(isinstance(found, int) and not isinstance(found, bool) and low <= found <= high)
        return int(found)

    return Kind(f"an integer from {low} to {high}", accept, int)


def _span(low: int, high: int) -> Kind:
    """Two bounds in order, each from `low` to `high`."""

    def accept(found: Any) -> tuple[int, int]:
        _require(isinstance(found, list) and len(found) == 2)
        _require(all(isinstance(bound, int) and not isinstance(bound, bool) for bound in found))
        _require(low <= found[0] <= found[1] <= high)
        return found[0], found[1]

    def from_text(text: str) -> object:
        return [int(bound) for bound in text.strip("[]").split(",")]

    return Kind(f"[low, high] with low <= high, each an integer from {low} to {high}", accept, from_text)


def _absolute_path() -> Kind:
    """A path that means the same from every working directory."""

    def accept(found: Any) -> Path:
        _require(isinstance(found, str) and found.startswith("/") and "\0" not in found)
        _require(".." not in Path(found).parts)
        return Path(found)

    return Kind("an absolute path without ..", accept)


def _address() -> Kind:
    def accept(found: Any) -> str:
        _require(isinstance(found, str))
        try:
            split_address(found)
        except InvalidInputError as error:
            raise ValueError from error
        return str(found)

    return Kind('"HOST:PORT" with a name or an address ([...] around IPv6) and a port from 0 to 65535', accept)


def _address_or_none() -> Kind:
    address = _address()
    return Kind(f'{address.allowed}, or "" for none', lambda found: "" if found == "" else address.accept(found))


def _credential_path() -> Kind:
    """A path, also below the directory that systemd makes for LoadCredential=, whose name is known at start."""
    absolute = _absolute_path()

    def accept(found: Any) -> str:
        _require(isinstance(found, str))
        if found:
            absolute.accept(
                found.replace(CREDENTIALS_PREFIX, "/", 1) if found.startswith(CREDENTIALS_PREFIX) else found
            )
        return str(found)

    return Kind(f"{absolute.allowed}, or one that begins with {CREDENTIALS_PREFIX}", accept)


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. `default` gets the host's name, for the few that depend on it."""

    section: str
    name: str
    kind: Kind
    default: Callable[[str], SettingValue]
    live: bool = False
    """Whether a running node takes a change over when it is told to reload."""


def _rows() -> Iterator[Key]:
    name = _text(NAME_PATTERN, NAME_ALLOWED)
    group = _text(re.compile(r"[a-z_][a-z0-9_-]{0,31}"), "the name of a Unix group")
    yield Key("node", "name", name, lambda host: host.split(".", maxsplit=1)[0].lower())
    yield Key("node", "data_dir", _absolute_path(), lambda _: Path("/var/lib/weftmesh"))
    yield Key("node", "run_dir", _absolute_path(), lambda _: Path("/run/weftmesh"))
    yield Key("mesh", "listen", _address(), lambda _: "0.0.0.0:7450")
    yield Key("mesh", "advertise", _address(), lambda host: f"{host}:7450")
    yield Key("mesh", "enroll_listen", _address(), lambda _: "0.0.0.0:7451")
    yield Key("mesh", "group", group, lambda _: "weftmesh")
    yield Key("tls", "mode", _choice("internal-ca", "files"), lambda _: "internal-ca")
    yield Key("tls", "cert_file", _credential_path(), lambda _: "")
    yield Key("tls", "key_file", _credential_path(), lambda _: "")
    yield Key("tls", "ca_file", _credential_path(), lambda _: "")
    yield Key("raft", "fsync", _flag(), lambda _: True)
    yield Key("raft", "heartbeat_ms", _integer(10, 10_000), lambda _: 250)
    yield Key("raft", "election_timeout_ms", _span(50, 60_000), lambda _: (1000, 1500))
    yield Key("raft", "snapshot_every_entries", _integer(100, 10_000_000), lambda _: 10_000)
    yield Key("limits", "max_message_bytes", _integer(65_536, 64 * MIB), lambda _: 4 * MIB)
    yield Key("limits", "max_pending_writes", _integer(1, 1_000_000), lambda _: 20_000, live=True)
    yield Key("limits", "watchers", _integer(1, 10_000), lambda _: 256, live=True)
    yield from _limits_of_callers()
    yield from _limits_of_the_router()
    yield Key("metrics", "listen", _address_or_none(), lambda _: "")
    yield Key("audit", "keep_days", _integer(1, 36_500), lambda _: 400)
    yield Key("audit", "keep_mib", _integer(2, 1_048_576), lambda _: 256)
    yield Key("audit", "strict", _flag(), lambda _: False)
    yield Key("log", "level", _choice("debug", "info", "warning", "error"), lambda _: "info", live=True)
    yield Key("log", "format", _choice("console", "json"), lambda _: "console", live=True)


def _limits_of_callers() -> Iterator[Key]:
    """What one caller, one address or all of them may ask of a node; docs/limits.md says why these defaults."""
    most = {
        "writes_per_s": 20_000,
        "reads_per_s": 10_000,
        "member_calls_per_s": 500,
        "calls_per_caller": 1_024,
        "watchers_per_caller": 64,
        "write_streams_per_caller": 64,
        "connections": 1_024,
        "connections_per_address": 128,
    }
    for name, default in most.items():
        yield Key("limits", name, _integer(1, 1_000_000), lambda _, default=default: default, live=True)  # type: ignore[misc]  # mypy knows no lambda with a default


def _limits_of_the_router() -> Iterator[Key]:
    """The same of the router beside the node, where thousands of clients follow its tables."""
    yield Key("router", "max_message_bytes", _integer(65_536, 64 * MIB), lambda _: 4 * MIB)
    most = {
        "watchers": 4_096,
        "writes_per_s": 10_000,
        "member_calls_per_s": 2_000,
        "calls_per_caller": 2_560,
        "watchers_per_caller": 1_024,
        "connections": 4_096,
        "connections_per_address": 1_024,
    }
    for name, default in most.items():
        yield Key("router", name, _integer(1, 1_000_000), lambda _, default=default: default)  # type: ignore[misc]  # as above


KEYS: Final = {(key.section, key.name): key for key in _rows()}
SECTIONS: Final = tuple(dict.fromkeys(section for section, _ in KEYS))
