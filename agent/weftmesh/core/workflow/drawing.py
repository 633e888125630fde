"""A workflow as text for people: Mermaid and DOT. Whatever names say, it is shown and never read as a drawing's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from weftmesh.core.workflow.model import Step, Workflow


def label(step: Step) -> str:
    """What a drawing calls a step: payments-api: evaluate uptime."""
    verb = step.kind.name.lower()
    return f"{step.agreement}: {verb} {step.subject}" if step.agreement else f"{verb} route {step.subject}"


def mermaid(graph: Workflow) -> str:
    """A Mermaid flowchart, from left to right."""
    names = _names(graph)
    nodes = [f'  {names[step.id]}["{_mermaid_text(label(step))}"]' for step in graph.steps]
    edges = [f"  {before} --> {after}" for before, after in _edges(graph, names)]
    return "\n".join(["flowchart LR", *nodes, *edges, ""])


def dot(graph: Workflow) -> str:
    """A Graphviz digraph, from left to right; steps of a wave stand above each other."""
    names = _names(graph)
    nodes = [f'  {names[step.id]} [label="{_dot_text(label(step))}"];' for step in graph.steps]
    ranks = [f"  {{ rank=same; {' '.join(f'{names[step_id]};' for step_id in wave)} }}" for wave in graph.waves]
    edges = [f"  {before} -> {after};" for before, after in _edges(graph, names)]
    head = ["digraph workflow {", "  rankdir=LR;", "  node [shape=box];"]
    return "\n".join([*head, *nodes, *ranks, *edges, "}", ""])


def _names(graph: Workflow) -> dict[str, str]:
    return {step.id: f"s{number}" for number, step in enumerate(graph.steps)}


def _edges(graph: Workflow, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((names[need], names[step.id]) for step in graph.steps for need in step.needs)


def _mermaid_text(text: str) -> str:
    """Mermaid knows characters by number; it reads quotes, brackets and Markdown in whatever is not so written."""
    return re.sub(r"[^A-Za-z0-9 .:/-]", lambda found: f"#{ord(found[0])};", text)


def _dot_text(text: str) -> str:
    """DOT reads a backslash and what follows, and ends at a quote."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return re.sub(r"[\x00-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", escaped)
