"""Logs of every process: one line an event on stderr, for people or as JSON, the standard library's included."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

Format = Literal["console", "json"]

LEVELS: Final = ("debug", "info", "warning", "error")
SECRET_WORDS: Final = ("secret", "password", "token", "private_key", "authorization", "credential")
"""A key that has one of these as a part does not show its value, whoever logs it."""
REDACTED: Final = "[redacted]"

_HANDLER_NAME: Final = "weftmesh"


def configure_logging(level: str = "info", format_: Format = "console", stream: TextIO | None = None) -> None:
    """Send every log of this process to `stream`. Call once per process; again to change level or form.

    Args:
        level: one of LEVELS.
        format_: `console` for people (colours on a terminal unless NO_COLOR is set), `json` for one object a line.
        stream: stderr when None.

    Raises:
        ValueError: the level or the format is unknown.
    """
    if level not in LEVELS or format_ not in ("console", "json"):
        raise ValueError(f"log level {level!r} as {format_!r}: choose one of {', '.join(LEVELS)}, as console or json")
    stream = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(_formatter(format_, stream))
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == _HANDLER_NAME]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of this name, such as weftmesh.raft."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _shared_processors() -> list[structlog.typing.Processor]:
    """What happens to every event, whether it came from structlog or from the standard library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        redact_secrets,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]


def redact_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the value of every key that names a secret (a structlog processor)."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = REDACTED
    return event


def _formatter(format_: Format, stream: TextIO) -> logging.Formatter:
    finish: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if format_ == "json":
        finish += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
    else:
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        finish += [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_shared_processors(), processors=finish)
