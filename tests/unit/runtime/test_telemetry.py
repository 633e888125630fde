"""Logs come out on one line, in one form, without secrets."""

from __future__ import annotations

import io
import json
import logging

import pytest

from weftmesh.runtime.telemetry import configure_logging, get_logger


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_json_is_one_object_a_line_with_time_level_and_name() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    get_logger("weftmesh.raft").info("elected", term=3, note="two\nlines")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["message"] == "elected"
    assert (event["level"], event["logger"], event["term"]) == ("info", "weftmesh.raft", 3)
    assert event["timestamp"].endswith("Z")


def test_the_standard_library_goes_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging("warning", "json", stream)
    logging.getLogger("grpc").warning("connection %s", "lost", extra={"peer": "node2"})
    logging.getLogger("grpc").info("not shown")
    event = json.loads(stream.getvalue())
    assert (event["message"], event["logger"], event["peer"]) == ("connection lost", "grpc", "node2")


def test_a_traceback_stays_on_its_line() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    get_logger("weftmesh.x").error("failed", exc_info=RuntimeError("inside"))
    (line,) = stream.getvalue().splitlines()
    assert "RuntimeError: inside" in json.loads(line)["exception"]


@pytest.mark.parametrize("format_", ["console", "json"])
def test_secrets_are_not_shown(format_: str) -> None:
    stream = io.StringIO()
    configure_logging("info", "json" if format_ == "json" else "console", stream)
    get_logger("weftmesh.x").info("joined", join_token="hunter2", Password="hunter2", node="node1")
    logging.getLogger("x").info("joined", extra={"client_secret": "hunter2"})
    assert "hunter2" not in stream.getvalue()
    assert "node1" in stream.getvalue()


def test_colours_only_on_a_terminal_and_never_under_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    outputs = []
    for stream in (Terminal(), io.StringIO()):
        configure_logging("info", "console", stream)
        get_logger("weftmesh.x").info("hello")
        outputs.append("\x1b" in stream.getvalue())
    assert outputs == [True, False]
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    configure_logging("info", "console", stream)
    get_logger("weftmesh.x").info("hello")
    assert "\x1b" not in stream.getvalue()


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", "json", first)
    configure_logging("error", "json", second)
    get_logger("weftmesh.x").info("quiet")
    get_logger("weftmesh.x").error("loud")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        configure_logging("loud")
