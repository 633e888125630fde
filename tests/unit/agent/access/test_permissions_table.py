"""The table of permissions has a row for each method that a node serves, and the documents say the same."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

import weftmesh.access.v1
import weftmesh.board.v1
import weftmesh.learning.v1
import weftmesh.mesh.v1
import weftmesh.ola.v1
import weftmesh.privacy.v1
from weftmesh.agent.access.permissions import RULES, WRITE_RULES, Rule
from weftmesh.board.v1 import board_pb2
from weftmesh.core.access.roles import ROLE_NEEDED, Permission

ROOT = Path(__file__).resolve().parents[4]
PACKAGES = (
    weftmesh.access.v1,
    weftmesh.board.v1,
    weftmesh.learning.v1,
    weftmesh.mesh.v1,
    weftmesh.ola.v1,
    weftmesh.privacy.v1,
)
"""Of what an agent serves; the router has a socket of its own."""


def served_methods() -> Iterator[str]:
    """Every method of every service of the agent's protos, as gRPC names it."""
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.endswith("_pb2"):
                continue
            file = importlib.import_module(f"{package.__name__}.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                yield from (f"/{service.full_name}/{method.name}" for method in service.methods)


def row(method: str, rule: Rule) -> tuple[str, str]:
    service, _, name = method.strip("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{name}", word_of(rule)


def word_of(rule: Rule) -> str:
    where = "" if rule.where.__name__ == "mesh" else " there"
    needed = ROLE_NEEDED.get(rule.need)
    if rule.each_write:
        return "as each write in it"
    if needed is None:
        return {Permission.CALL: "anybody", Permission.PEER: "a node", Permission.SERVE: "the node's own process"}[
            rule.need
        ]
    strict = ", always" if rule.strict else ""
    accounts = "".join(f", or {one}" for one in sorted(rule.accounts))
    return f"{needed.name.lower()}{where}{strict}{accounts}"


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    methods = set(served_methods())
    assert len(methods) > 60
    missing = methods - set(RULES)
    assert not missing, f"give these a row in weftmesh.agent.access.permissions, or nobody may call them: {missing}"
    beyond = {one for one in RULES if one.startswith("/weftmesh.")} - methods
    assert not beyond, f"these are no methods any more: {beyond}"


def test_every_kind_of_write_has_a_row() -> None:
    cases = {field.name for field in board_pb2.WriteRequest.DESCRIPTOR.oneofs_by_name["write"].fields} - {"batch"}
    assert set(WRITE_RULES) == cases


def test_what_changes_something_needs_more_than_to_view() -> None:
    for method, rule in RULES.items():
        if rule.changes and not rule.each_write:
            assert rule.need is not Permission.VIEW, method


def test_every_service_that_a_node_registers_is_in_the_table() -> None:
    pool = descriptor_pool.Default()
    for method in RULES:
        service, _, name = method.strip("/").rpartition("/")
        if service.startswith("weftmesh."):
            assert name in pool.FindServiceByName(service).methods_by_name


@pytest.mark.parametrize("method", sorted(RULES))
def test_the_document_says_what_the_table_says(method: str) -> None:
    text = (ROOT / "docs/access.md").read_text()
    told = dict(re.findall(r"^\| `([A-Za-z]+/[A-Za-z]+)` \| ([^|]+?) \|$", text, re.MULTILINE))
    name, word = row(method, RULES[method])
    assert told.get(name) == word, f"write this row into docs/access.md: | `{name}` | {word} |"
