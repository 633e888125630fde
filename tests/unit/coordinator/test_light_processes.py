"""Flower and numpy are loaded by processes that train, and by no other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIGHT = ("agent/weftmesh/agent", "agent/weftmesh/cli", "agent/weftmesh/client", "agent/weftmesh/core")
READERS = ("pydantic", "yaml")


def modules(folder: str) -> list[str]:
    """Every module below a folder of a source root, by its import name."""
    root = ROOT / folder.split("/")[0]
    found = [path.relative_to(root).with_suffix("") for path in sorted((ROOT / folder).rglob("*.py"))]
    names = [".".join(path.parts) for path in found if not path.name.endswith(("_pb2", "_pb2_grpc"))]
    return [name.removesuffix(".__init__") for name in names]


def entry_points() -> list[str]:
    """Every process that somebody starts, but those that train."""
    paths = [*ROOT.glob("agent/weftmesh/*/__main__.py"), *ROOT.glob("coordinator/weftmesh/*/__main__.py")]
    return [f"weftmesh.{path.parent.name}.__main__" for path in paths if path.parent.name != "learner"]


def loaded(*names: str, of: tuple[str, ...] = ("flwr", "numpy")) -> str:
    """Which of some packages a process has that imports modules, sorted."""
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(*sorted(set(name.split('.')[0] for name in sys.modules) & set({of!r})))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_entry_points_are_found() -> None:
    assert {"weftmesh.agent.__main__", "weftmesh.cli.__main__"} <= set(entry_points())


@pytest.mark.parametrize("name", [*entry_points(), "weftmesh.coordinator", "weftmesh.learner", "weftmesh.runtime"])
def test_a_process_that_does_not_train_starts_without_them(name: str) -> None:
    assert loaded(name) == ""


@pytest.mark.parametrize("folder", LIGHT)
def test_no_module_of_it_loads_them_at_any_time(folder: str) -> None:
    assert loaded(*modules(folder)) == ""


def test_the_test_sees_what_is_loaded() -> None:
    assert loaded("weftmesh.runtime.flower") == "flwr numpy"
    assert loaded("weftmesh.runtime.ola_files.reading", of=READERS) == "pydantic yaml"


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("weftmesh.agent.daemon", ("rich", "greenlet", "argparse", "difflib", "tempfile", "zipfile")),
        ("weftmesh.coordinator.__main__", ("rich", "greenlet", "cryptography", "uvloop", "pysyncobj")),
    ],
)
def test_a_process_that_stays_does_without_what_it_does_not_need(name: str, heavy: tuple[str, ...]) -> None:
    assert loaded(name, of=heavy) == ""


@pytest.mark.parametrize("name", entry_points())
def test_a_process_starts_without_what_reads_agreement_files(name: str) -> None:
    assert loaded(name, of=READERS) == ""


@pytest.mark.parametrize("folder", [folder for folder in LIGHT if folder != "agent/weftmesh/cli"])
def test_no_module_of_it_loads_what_reads_agreement_files(folder: str) -> None:
    assert loaded(*modules(folder), of=READERS) == ""


def importers(*packages: str) -> set[str]:
    """The product's modules that import one of some packages."""
    found = set()
    for path in [*ROOT.glob("agent/weftmesh/**/*.py"), *ROOT.glob("coordinator/weftmesh/**/*.py")]:
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if any(package in text for package in packages) else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            if any(name.split(".")[0] in packages for name in names):
                found.add(str(path.relative_to(ROOT)))
    return found


def test_one_module_alone_imports_flower() -> None:
    assert importers("flwr") == {"agent/weftmesh/runtime/flower.py"}


def test_one_package_alone_reads_agreement_files() -> None:
    users = importers("pydantic", "pydantic_core", "yaml")
    assert users
    assert all(name.startswith("agent/weftmesh/runtime/ola_files/") for name in users)
