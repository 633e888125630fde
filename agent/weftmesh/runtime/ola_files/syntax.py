"""PyYAML's and libyaml's words for broken syntax, in words that say what to do."""

from __future__ import annotations

from typing import Final

_KNOWN: Final = (
    ("cannot start any token", "no value can begin with this character", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "there is a second `:` in this line",
        "put the value in quotes, or start a line",
    ),
    (
        "did not find expected key",
        "this is no key of the mapping above",
        "indent it like the keys above, or end it with `:`",
    ),
    (
        "expected <block end>",
        "this is no key of the mapping above",
        "indent it like the keys above, or end it with `:`",
    ),
    ("did not find expected '-'", "this is no entry of the list above", "begin it with `- `, indented like the others"),
    ("expected ',' or ']'", "a list in [ ] goes wrong here", "close it with ], and put commas between its entries"),
    ("expected ',' or '}'", "a mapping in { } goes wrong here", "close it with }, and put commas between its entries"),
    ("did not find expected node content", "a value is missing here", "write one, or take the comma out"),
    ("expected the node content", "a value is missing here", "write one, or take the comma out"),
    (
        "could not find expected ':'",
        "the key before has no `:`",
        "write KEY: VALUE; a text of several lines begins with |",
    ),
    ("unexpected end of stream", "a quotation mark is not closed", "close it"),
    ("unexpected document indicator", "a quotation mark is not closed", "close it"),
    (
        "unknown escape character",
        "this escape does not exist between double quotes",
        "use single quotes, or write \\\\",
    ),
    ("block sequence entries are not allowed", "a list cannot begin here", "begin it on a line of its own"),
    ("undefined tag handle", "tags are not read", "take the tag out; put text in quotes"),
    ("expected <document start>", "a document ends before this", "indent it like the lines above, or begin with ---"),
    ("alphabetic or numeric character", "an anchor or alias without a name", "put the value in quotes"),
    ("comment or a line break", "no text can follow here", "begin a line"),
)


def explain_syntax(problem: str, line: str) -> tuple[str, str]:
    """What is wrong and what to do, from a parser's words and the line that it stopped at."""
    if "cannot start any token" in problem and "\t" in line:
        return "a tab stands where only spaces may", "indent with spaces"
    for known, message, fix in _KNOWN:
        if known in problem:
            return message, fix
    return f"this is no YAML: {problem}", "correct this line, or the one before it"
