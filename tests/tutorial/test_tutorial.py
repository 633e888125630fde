"""The tutorial does what it says: its commands are run in order, and print what it shows."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest
from tests.tutorial.console import Shell, Step, differs, steps

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/tutorial.md"
PLACE = "/tmp/tutorial"
STEP_S = 120.0
PORTS = ("18101", "18102", "17450", "17451", "19464")


def elsewhere(text: str, place: Path) -> str:
    """The page for another directory and for ports that are free now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    for port, one in zip(PORTS, held, strict=True):
        text = text.replace(port, str(one.getsockname()[1]))
        one.close()
    return text.replace(PLACE, str(place))


def last_words(place: Path) -> list[str]:
    """The ends of the nodes' logs."""
    return [f"{path}:\n{path.read_text()[-1_500:]}" for path in sorted(place.glob("**/weftmeshd.log"))]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_prints_what_the_page_shows(tmp_path_factory: pytest.TempPathFactory) -> None:
    for program in ("bash", "curl", "pgrep"):
        assert shutil.which(program), f"{program} is not here"
    place = tmp_path_factory.mktemp("t") / "t"
    place.mkdir()
    shell = Shell(ROOT, {"NO_COLOR": "1", "COLUMNS": "200", "LC_ALL": "C.UTF-8"})
    try:
        for step in steps(elsewhere(PAGE.read_text(), place)):
            printed = shell.run(step.command, STEP_S)
            missing = differs(step.shown, printed)
            told = f"{PAGE.name}:{step.line}: {step.command}\ndid not print: {missing}\nbut:\n{printed}"
            assert not missing, "\n".join([told, *last_words(place)])
    finally:
        shell.run(f"weftmesh dev down --dir {place}/mesh --wipe", STEP_S)
        shell.close()
    assert not place.exists()


def test_the_page_has_commands_and_says_what_they_print() -> None:
    found = list(steps(PAGE.read_text()))
    assert len(found) > 40
    assert sum(1 for one in found if one.shown) > 30
    assert re.search(r"\$ weftmesh doctor", PAGE.read_text())


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (("a ... d",), "x\na  b c   d\n", ""),
        (("a", "b"), "b\na\n", "b"),
        (("1.2",), "1x2\n", "1.2"),
        (("PAY-1 ...",), "PAY-1\n", ""),
        (("... end",), "the end\n", ""),
        (("...",), "", ""),
    ],
)
def test_output_is_compared_line_by_line_and_in_order(shown: tuple[str, ...], printed: str, missing: str) -> None:
    assert differs(shown, printed) == missing


def test_a_here_document_belongs_to_its_command() -> None:
    [first, second] = steps("```console\n$ cat <<'END'\n$ a\nEND\n$ true\nb\n```\n")
    assert (first.command, first.shown) == ("cat <<'END'\n$ a\nEND", ())
    assert second == Step(5, "true", ("b",))
