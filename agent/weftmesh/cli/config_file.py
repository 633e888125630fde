"""Writes the first `weftmesh.toml` of a node, with what `init` and `join` were told."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.config import Config, load_config
from weftmesh.runtime.files import write_atomic

_MODE: Final = 0o644
_CONFIG_VERSION: Final = 1
ADDED: Final = Path("conf.d/10-node.toml")
"""Beside a configuration that was there before, such as a package's."""

Settings = Mapping[tuple[str, str], str | bool | int]
"""Values by (section, key)."""


def render(settings: Settings) -> str:
    """The settings as TOML."""
    lines = [f"config_version = {_CONFIG_VERSION}"]
    for section in dict.fromkeys(section for section, _ in settings):
        lines += ["", f"[{section}]"]
        # A JSON string, number or boolean is the same in TOML.
        lines += [f"{key} = {json.dumps(value)}" for (found, key), value in settings.items() if found == section]
    return "\n".join(lines) + "\n"


def settle(path: Path, wanted: Settings, *, dry_run: bool = False) -> tuple[Config, bool]:
    """The configuration in `path`, which is written with `wanted` if it is absent; and whether it was absent.

    Of a file that is there, what it leaves at its default is set in ADDED beside it. With `dry_run`, what would be
    written is checked elsewhere.

    Raises:
        InvalidInputError: the file is there and says otherwise, or the directory cannot be written.
        ConfigError: the configuration is wrong.
    """
    absent = not path.exists()
    if not absent:
        _refuse_other(load_config(path, environment=os.environ), wanted)
    if dry_run:
        with tempfile.TemporaryDirectory() as directory:
            trial = Path(directory, path.name)
            if not absent:
                shutil.copy(path, trial)
                if (path.parent / ADDED.parent).is_dir():
                    shutil.copytree(path.parent / ADDED.parent, trial.parent / ADDED.parent)
            return settle(trial, wanted)[0], absent
    if absent:
        _write(path, wanted)
    elif left_open := _differing(load_config(path, environment=os.environ), wanted):
        added = path.parent / ADDED
        if added.exists():
            raise InvalidInputError(f"{added} is there already; set {_named(left_open)} in it, or leave the option out")
        _write(added, left_open)
    config = load_config(path, environment=os.environ)
    _refuse_other(config, wanted)
    return config, absent


def _refuse_other(config: Config, wanted: Settings) -> None:
    """Raise InvalidInputError where somebody set another value."""
    for setting in config.settings:
        value = _differing(config, wanted).get((setting.section, setting.key))
        if value is not None and setting.origin != "default":
            raise InvalidInputError(
                f"{setting.origin} has [{setting.section}] {setting.key} = {setting.value}, not {value}; change it "
                "there, or leave the option out"
            )


def _differing(config: Config, wanted: Settings) -> Settings:
    """What is wanted and not in force."""
    found = {(one.section, one.key): str(one.value) for one in config.settings}
    return {where: value for where, value in wanted.items() if found[where] != str(value)}


def _named(settings: Settings) -> str:
    return ", ".join(f"[{section}] {key} = {value}" for (section, key), value in settings.items())


def _write(path: Path, wanted: Settings) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, render(wanted).encode(), mode=_MODE)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}; run as root, or pass --config") from error
