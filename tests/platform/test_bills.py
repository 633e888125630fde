"""The bills of materials: CycloneDX 1.5, of everything that the packages bundle.

The schema here is of what our bills have of CycloneDX's, and allows nothing else.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import jsonschema
import pytest
from tests.platform.test_rpm import content

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

Schema = dict[str, object]

TEXT: Final[Schema] = {"type": "string", "minLength": 1}
DIGEST: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def record(required: Schema, optional: Schema | None = None) -> Schema:
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


def rows(of: Schema) -> Schema:
    return {"type": "array", "items": of, "minItems": 1, "uniqueItems": True}


LICENSE: Final[Schema] = {"oneOf": [record({"expression": TEXT}), record({"license": record({"name": TEXT})})]}
LIBRARY: Final = record(
    {
        "type": {"const": "library"},
        "bom-ref": TEXT,
        "name": TEXT,
        "version": TEXT,
        "purl": {"type": "string", "pattern": r"^pkg:pypi/[a-z0-9.-]+@[^@]+$"},
        "hashes": rows(record({"alg": {"const": "SHA-256"}, "content": DIGEST})),
    },
    {"licenses": rows(LICENSE) | {"maxItems": 1}},
)
WHOLE: Final[Schema] = {"type": {"const": "application"}, "bom-ref": TEXT, "name": TEXT, "version": TEXT}
BILL: Final = record(
    {
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.5"},
        "version": {"const": 1},
        "metadata": record({"component": record(WHOLE)}),
        "components": rows(LIBRARY),
        "dependencies": rows(record({"ref": TEXT, "dependsOn": rows(TEXT)})),
    }
)


@pytest.mark.parametrize("name", ["weftmesh", "weftmesh-learner"])
def test_a_bill_is_cyclonedx_and_its_references_are_of_what_it_has(name: str, packages: Path) -> None:
    package = next(packages.rglob(f"{name}-[0-9]*.rpm"))
    bill = json.loads(content(package, f"/usr/share/weftmesh/{name}.cdx.json"))
    jsonschema.Draft202012Validator(BILL).validate(bill)
    known = [one["bom-ref"] for one in (bill["metadata"]["component"], *bill["components"])]
    assert len(known) == len(set(known))
    named = {word for row in bill["dependencies"] for word in (row["ref"], *row["dependsOn"])}
    assert named == set(known)


def test_a_hash_is_of_what_the_lock_file_pins(packages: Path, tree: Path) -> None:
    locked = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", (tree / "requirements/learner.txt").read_text()))
    package = next(packages.rglob("weftmesh-learner-[0-9]*.rpm"))
    bill = json.loads(content(package, "/usr/share/weftmesh/weftmesh-learner.cdx.json"))
    stated = {row["content"] for one in bill["components"] for row in one["hashes"]}
    assert stated <= locked
