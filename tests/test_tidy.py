"""House rules that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LATER = re.compile(r"(#|//).*\b(TODO|FIXME|XXX|HACK)\b")
# Words that promise more than software can keep; documents state what is measured.
HYPE = re.compile(r"\b(guarantee[sd]?|compliant|seamless(ly)?|blazing)\b", re.IGNORECASE)
MOCKS = re.compile(r"\b(?:Magic|Async)?Mock\(|\bpatch(?:\.object|\.dict)?\(|monkeypatch\.setattr\(")
MACHINE_PATHS = re.compile(r"/work/(main|shared)\b|/root/\.pyenv")
REGISTRY_HOSTS = re.compile(r"https?://[\w.-]*(pypi|pythonhosted|npmjs|debian)\.(org|com)")


def tracked(*suffixes: str) -> list[Path]:
    """Every file of ours with one of the suffixes: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).exists()]


def product_modules() -> list[Path]:
    roots = (ROOT / "agent", ROOT / "coordinator")
    return [path for path in tracked(".py") if any(path.is_relative_to(root) for root in roots)]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def offenders(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in paths:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    return found


def test_a_module_has_one_idea() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in product_modules()
        if (n := path.read_text().count("\n")) > MODULE_LINES_MAX
    }
    assert not long, f"split these: {long}"


def test_a_function_fits_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in product_modules()
        for node in functions(path)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, f"split these: {long}"


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path in product_modules() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"no docstring: {silent}"


def test_nothing_is_left_for_later_in_the_code() -> None:
    assert not offenders(tracked(".py", ".proto", ".toml"), LATER)


def test_documents_state_what_is_measured() -> None:
    assert not offenders(tracked(".md"), HYPE)


def test_tests_run_the_real_thing() -> None:
    assert not offenders([path for path in tracked(".py") if path.is_relative_to(ROOT / "tests")], MOCKS)


def test_no_path_of_a_machine_and_no_registry_host() -> None:
    suffixes = (".py", ".md", ".toml", ".txt", ".proto", ".yaml", ".cfg", "Makefile", "run")
    assert not offenders(tracked(*suffixes), MACHINE_PATHS)
    assert not offenders(tracked(*suffixes), REGISTRY_HOSTS)


def test_a_broad_except_raises_again_or_says_why() -> None:
    silent = []
    for path in product_modules():
        lines = path.read_text().splitlines()
        handlers = [one for one in ast.walk(ast.parse("\n".join(lines))) if isinstance(one, ast.ExceptHandler)]
        for node in handlers:
            broad = node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"}
            raises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if broad and not raises and "#" not in lines[node.lineno - 1]:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not silent, silent


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def test_nothing_imports_pickle() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in product_modules()
        for line, name in imported(path)
        if name.split(".")[0] in forbidden
    ]
    assert not found


def test_no_package_hides_the_namespace() -> None:
    assert not (ROOT / "agent/weftmesh/__init__.py").exists()
    assert not (ROOT / "coordinator/weftmesh/__init__.py").exists()
    assert not (ROOT / "proto/weftmesh/__init__.py").exists()


@pytest.mark.parametrize("lock", ["base", "learner", "dev"])
def test_the_lock_pins_every_direct_dependency(lock: str) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    learner = project["project"]["optional-dependencies"]["learner"]
    more = {"base": [], "learner": learner, "dev": learner + project["dependency-groups"]["dev"]}
    wanted = project["project"]["dependencies"] + more[lock]
    locked = (ROOT / f"requirements/{lock}.txt").read_text()
    missing = [name for spec in wanted if f"\n{(name := re.split(r'[<>=~! ]', spec)[0])}==" not in "\n" + locked]
    assert not missing, f"run `make lock`: {missing}"


def test_a_base_install_has_neither_flower_nor_numpy() -> None:
    locked = (ROOT / "requirements/base.txt").read_text()
    assert not re.findall(r"^(?:flwr|numpy)==", locked, re.MULTILINE)


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    used = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert used, "the README names no make target"
    assert not [target for target in used if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def test_every_page_of_documents_is_named_in_the_readme() -> None:
    listed = (ROOT / "README.md").read_text().partition("\n## Documents\n")[2]
    pages = [page for page in tracked(".md") if page.parent == ROOT / "docs"]
    assert pages
    assert [page.name for page in pages if f"](docs/{page.name})" not in listed] == []


def test_every_broken_link_between_documents_is_mended() -> None:
    broken = []
    for page in tracked(".md"):
        targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
        broken += [f"{page.relative_to(ROOT)} -> {one}" for one in targets if not (page.parent / one).exists()]
    assert not broken
