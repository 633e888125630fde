"""The published JSON Schema of an agreement, for editors and for those who write files by program."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from weftmesh.runtime.ola_files.forms import OlaForm

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def ola_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one OLA document."""
    return {"$schema": DIALECT, "title": "weftmesh OLA", **form_schema(OlaForm)}


@cache
def form_schema(form: type[BaseModel]) -> dict[str, Any]:
    """What a form takes; not to be changed."""
    made: dict[str, Any] = _tidy(form.model_json_schema())
    return made


def ola_schema_text() -> str:
    """The same as a file: indented, with a line break at its end."""
    return json.dumps(ola_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any, *, names: bool = False) -> Any:
    """A schema in the terms of files: without titles made of Python's names, without defaults in the terms of the core,
    and without the null that stands for what is absent.

    Args:
        schema: or a part of one.
        names: whether its keys are names of properties, of which one may be `title`.
    """
    if isinstance(schema, list):
        return [_tidy(one) for one in schema if one != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    tidy = {
        key: value if key == "examples" else _tidy(value, names=key in ("properties", "$defs"))
        for key, value in schema.items()
        if names or key not in ("title", "default")
    }
    choices = tidy.get("anyOf", ())
    return {**choices[0], **{key: tidy[key] for key in tidy if key != "anyOf"}} if len(choices) == 1 else tidy
