from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from weftmesh.runtime.ola_files.findings import Findings
from weftmesh.runtime.ola_files.nodes import Plain, plain
from weftmesh.runtime.ola_files.reading import FileText, read_agreements
from weftmesh.runtime.ola_files.schema import ola_schema, ola_schema_text
from weftmesh.runtime.ola_files.yaml_reader import read_documents

ROOT = Path(__file__).resolve().parents[4]
VALIDATOR = jsonschema.Draft202012Validator(ola_schema())
EXAMPLES = sorted((ROOT / "examples").glob("*.ola.yaml"))
BAD = Path(__file__).parent / "bad"
SEEN_BY_EDITORS = (
    *(
        "wrong_version",
        "wrong_kind",
        "missing_keys",
        "misspelled_keys",
        "list_for_mapping",
        "mapping_for_list",
        "words",
    ),
    *("names", "percents", "durations", "either_or", "empty_lists"),
)


def documents(path: Path) -> list[Plain]:
    _, roots = read_documents(path.name, path.read_bytes(), Findings())
    return [numbers(plain(root)) for root in roots]


def numbers(value: Plain) -> Plain:
    """The same with floats, which is what other readers make of decimals."""
    match value:
        case Decimal():
            return float(value)  # type: ignore[return-value]
        case list():
            return [numbers(one) for one in value]
        case dict():
            return {key: numbers(one) for key, one in value.items()}
        case _:
            return value


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(ola_schema())


def test_the_published_file_is_up_to_date() -> None:
    assert (ROOT / "docs/ola.schema.json").read_text() == ola_schema_text(), (
        "weftmesh ola schema > docs/ola.schema.json"
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_takes_the_examples(path: Path) -> None:
    found = documents(path)
    assert found
    for document in found:
        VALIDATOR.validate(document)


@pytest.mark.parametrize("name", SEEN_BY_EDITORS)
def test_it_refuses_what_an_editor_should_mark(name: str) -> None:
    assert not all(VALIDATOR.is_valid(document) for document in documents(BAD / f"{name}.yaml"))


def test_its_own_examples_are_good() -> None:
    """What a fix proposes is taken from them."""
    schema = ola_schema()
    spec = {
        key: part["examples"][0]
        for key, part in schema["$defs"]["SpecForm"]["properties"].items()
        if "examples" in part
    }
    text = json.dumps({"apiVersion": "weftmesh/v1", "kind": "OLA", "metadata": {"name": "payments-api"}, "spec": spec})
    reading = read_agreements([FileText("examples.yaml", text.encode())])
    assert not reading.findings, [str(finding) for finding in reading.findings]
