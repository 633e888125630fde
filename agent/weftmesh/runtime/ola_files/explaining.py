"""What pydantic found wrong with a document, with the place in the file and what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from weftmesh.runtime.ola_files.findings import Code, Finding, Mark, Source
from weftmesh.runtime.ola_files.nodes import Node, has, key_mark_at, mark_at
from weftmesh.runtime.ola_files.schema import form_schema

Location: TypeAlias = tuple[str | int, ...]
_KEY: Final = "[key]"
"""What pydantic ends a location with when the key itself is wrong."""


def findings_of(error: ValidationError, form: type[BaseModel], source: Source, root: Node) -> Iterable[Finding]:
    """A finding for each error of a document that was read into a form; keys that a mapping lacks are one."""
    details = error.errors(include_url=False)
    missing: dict[Location, list[str]] = {}
    for detail in details:
        if detail["type"] == "missing":
            missing.setdefault(detail["loc"][:-1], []).append(str(detail["loc"][-1]))
    for location, keys in missing.items():
        message = f"{', '.join(f'`{key}`' for key in keys)} {'is' if len(keys) == 1 else 'are'} missing"
        fix = "add " + ", ".join(_example(form, (*location, key)) for key in keys)
        yield Finding(source, mark_at(root, location), Code.MISSING_KEY, message, fix)
    for detail in details:
        if detail["type"] != "missing":
            code, message, fix = _words(detail, form)
            yield Finding(source, _mark(detail["type"], detail["loc"], root), code, message, fix)


def _mark(kind: str, location: Location, root: Node) -> Mark:
    if kind == "extra_forbidden":
        return key_mark_at(root, location)
    if location and location[-1] == _KEY:
        return key_mark_at(root, location[:-1])
    return mark_at(root, location) if has(root, location) else mark_at(root, location[:-1])


def _words(detail: ErrorDetails, form: type[BaseModel]) -> tuple[Code, str, str]:
    location = detail["loc"]
    key = location[-1] if location else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "refused":
            return Code.BAD_VALUE, str(context["message"]), str(context["fix"])
        case "extra_forbidden":
            return Code.UNKNOWN_KEY, f"there is no key `{key}` here", _similar(str(key), _keys(form, location[:-1]))
        case "model_type" | "dict_type" | "model_attributes_type":
            return Code.BAD_VALUE, "this has to be a mapping", f"write KEY: VALUE lines: {_example(form, location)}"
        case "list_type":
            return Code.BAD_VALUE, "this has to be a list", f"write it as in {_example(form, location)}"
        case "too_short":
            return Code.BAD_VALUE, "this list is empty", f"write it as in {_example(form, location)}"
        case "too_long":
            most = context["max_length"]
            return Code.BAD_VALUE, f"these are more than {most}", f"keep at most {most}, or split the agreement"
    return Code.BAD_VALUE, detail["msg"], "see `weftmesh ola schema` for what is allowed here"


def _similar(key: str, known: Iterable[str]) -> str:
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower().replace("_", "").replace("-", ""), names, n=1)
    return f"did you mean `{names[close[0]]}`?" if close else f"use {', '.join(f'`{name}`' for name in names.values())}"


def _example(form: type[BaseModel], location: Location) -> str:
    """How a key may be written."""
    key = next((step for step in reversed(location) if isinstance(step, str)), "")
    return f"{key}: {_flow(_example_value(form, location))}"


def _example_value(form: type[BaseModel], location: Location) -> object:
    schema = _schema_at(form, location)
    if "const" in schema:
        return schema["const"]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example_value(form, (*location, 0))]
    return {name: _example_value(form, (*location, name)) for name in schema.get("required", ())}


def _flow(value: object) -> str:
    """A value on one line, as YAML takes it."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(each) for each in value) + "]"
        case str() if ":" in value or " " in value:
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _keys(form: type[BaseModel], location: Location) -> Iterable[str]:
    return list(_schema_at(form, location).get("properties", ()))


def _schema_at(form: type[BaseModel], location: Iterable[str | int]) -> Mapping[str, Any]:
    """The part of a form's JSON Schema that describes a place; what is said beside a reference goes first."""
    whole = form_schema(form)
    here: Mapping[str, Any] = whole
    for step in location:
        here = here.get("items", {}) if isinstance(step, int) else here.get("properties", {}).get(step, {})
        if "$ref" in here:
            here = {**whole["$defs"][here["$ref"].rpartition("/")[2]], **here}
    return here
