"""Writes the first `weftmesh.toml` of a node, with what `init` and `join` were told."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.config import Config, load_config
from weftmesh.runtime.files import write_atomic

_MODE: Final = 0o644
_CONFIG_VERSION: Final = 1

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

    With `dry_run`, an absent file is checked elsewhere and stays absent.

    Raises:
        InvalidInputError: the file is there and says otherwise, or the directory cannot be written.
        ConfigError: the configuration is wrong.
    """
    absent = not path.exists()
    if absent and dry_run:
        with tempfile.TemporaryDirectory() as directory:
            trial = Path(directory, path.name)
            trial.write_text(render(wanted))
            return load_config(trial, environment=os.environ), True
    if absent:
        _write(path, wanted)
    config = load_config(path, environment=os.environ)
    for setting in config.settings:
        value = wanted.get((setting.section, setting.key))
        if value is not None and str(value) != str(setting.value):
            raise InvalidInputError(
                f"{setting.origin} has [{setting.section}] {setting.key} = {setting.value}, not {value}; change it "
                "there, or leave the option out"
            )
    return config, absent


def _write(path: Path, wanted: Settings) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, render(wanted).encode(), mode=_MODE)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}; run as root, or pass --config") from error
