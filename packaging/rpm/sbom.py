"""A bill of materials in CycloneDX 1.5 JSON: every bundled distribution with its version, licence and hash."""

from __future__ import annotations

import json
from collections.abc import Sequence

from wheels import License, Wheel


def bill(component: str, version: str, bundled: Sequence[Wheel]) -> str:
    """The bill of one package; it has no time and no serial number, so that two builds are alike."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": component, "name": component, "version": version}},
        "components": [_component(one) for one in bundled],
        "dependencies": [{"ref": component, "dependsOn": [_purl(one) for one in bundled]}],
    }
    return json.dumps(document, indent=1) + "\n"


def _component(wheel: Wheel) -> dict[str, object]:
    row: dict[str, object] = {
        "type": "library",
        "bom-ref": _purl(wheel),
        "name": wheel.name,
        "version": wheel.version,
        "purl": _purl(wheel),
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }
    return row | ({"licenses": [_license(wheel.license)]} if wheel.license else {})


def _license(said: License) -> dict[str, object]:
    return {"expression": said.text} if said.is_expression else {"license": {"name": said.text}}


def _purl(wheel: Wheel) -> str:
    return f"pkg:pypi/{wheel.name}@{wheel.version}"
