r"""The filter language of lists: terms joined by AND, such as `status=open assignee=ann -label=later due<2026-12-01`.

    filter  = [ term { [ "AND" ] term } ]
    term    = [ "-" ] ( name operator value | "text" ":" value | "has" ":" name )
    value   = word | quoted          quoted text knows the escapes \" and \\

One pass from left to right; a task is then tested in time proportional to the number of terms.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NoReturn

from weftmesh.core.board.model import CUSTOM_PREFIX, DueAt, DueDate, Limits, Priority, Status, Task
from weftmesh.core.board.reading import Predicate
from weftmesh.core.errors import InvalidInputError

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"custom\.[^\s=!<>:\"]+|[a-z_]+")
_OPERATOR = re.compile(r"<=|>=|!=|=|<|>|:")
_VALUE = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s"]+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_EQUALITY: Final[Mapping[str, Callable[[object, object], bool]]] = {"=": operator.eq, "!=": operator.ne}
_ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PRESENCE: Final = (
    "assignee",
    "conflicts",
    "custom",
    "depends_on",
    "description",
    "due",
    "estimate",
    "labels",
    "origin",
    "parent",
    "priority",
)
_CLOSED: Final = frozenset({Status.DONE, Status.CANCELLED})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Term:
    name: str
    operator: str
    value: str
    column: int
    """1 for the first character of the filter."""
    value_column: int
    today: str


def parse_filter(text: str, today: str = "") -> Predicate:
    """The test that `text` describes; an empty filter shows everything.

    Args:
        text: at most `Limits.FILTER_CHARACTERS` and `Limits.FILTER_TERMS`.
        today: ISO 8601, what `today` stands for in `due<today`; empty when the word may not be used.

    Raises:
        InvalidInputError: the message names the column, 1 for the first character.
    """
    if len(text) > Limits.FILTER_CHARACTERS:
        _fail(Limits.FILTER_CHARACTERS + 1, f"the filter is longer than {Limits.FILTER_CHARACTERS} characters")
    tests: list[Predicate] = []
    position = _skip_space(text, 0)
    while position < len(text):
        if len(tests) == Limits.FILTER_TERMS:
            _fail(position + 1, f"more than {Limits.FILTER_TERMS} terms")
        test, position = _parse_term(text, position, today)
        tests.append(test)
        position = _skip_and(text, position)
    return _all(tuple(tests))


def _all(tests: tuple[Predicate, ...]) -> Predicate:
    if len(tests) == 1:
        return tests[0]

    def test_all(task: Task) -> bool:
        for test in tests:  # noqa: SIM110 - twice as fast as all() over a generator, for each task of a list
            if not test(task):
                return False
        return True

    return test_all


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return position if found is None else found.end()


def _skip_and(text: str, position: int) -> int:
    """Goes to the next term; an AND must have one."""
    start = _skip_space(text, position)
    if start < len(text) and start == position:
        _fail(position + 1, "expected a space between two terms")
    if not (text.startswith("AND", start) and text[start + 3 : start + 4].isspace()) and text[start:] != "AND":
        return start
    end = _skip_space(text, start + 3)
    if end == len(text):
        _fail(end + 1, "expected a term after AND")
    return end


def _parse_term(text: str, start: int, today: str) -> tuple[Predicate, int]:
    negated = text[start] == "-"
    begin = start + negated
    name = _NAME.match(text, begin)
    if name is None:
        _fail(begin + 1, f"expected a field such as status, not {_next_word(text, begin)}")
    sign = _OPERATOR.match(text, name.end())
    if sign is None:
        _fail(name.end() + 1, f"expected =, !=, <, <=, >, >= or : after {name[0]!r}")
    value = _VALUE.match(text, sign.end())
    if value is None:
        _fail(sign.end() + 1, f"expected a value after {name[0]}{sign[0]}; put quotes around spaces, and close them")
    word = value["word"]
    content = word if word is not None else _ESCAPE.sub(r"\1", value["quoted"])
    term = _Term(name[0], sign[0], content, begin + 1, sign.end() + 1, today)
    test = _compile(term)
    return (_negated(test) if negated else test), value.end()


def _next_word(text: str, start: int) -> str:
    return repr(text[start:].split(maxsplit=1)[0]) if text[start:].strip() else "the end"


def _negated(test: Predicate) -> Predicate:
    return lambda task: not test(task)


def _compile(term: _Term) -> Predicate:
    if term.name.startswith(CUSTOM_PREFIX):
        return _custom(term)
    compile_term = _TERMS.get(term.name)
    if compile_term is None:
        _fail(term.column, f"there is no field {term.name!r}; use {', '.join(sorted(_TERMS))} or custom.KEY")
    return compile_term(term)


def _status(term: _Term) -> Predicate:
    equals = _equality(term)
    word = term.value.upper()
    if word == "OPEN":
        return lambda task: equals(task.status not in _CLOSED, True)
    if word not in Status.__members__:
        names = ", ".join(Status.__members__).lower()
        _fail(term.value_column, f"{term.value!r} is no status; use {names} or open")
    wanted = Status[word]
    return lambda task: equals(task.status, wanted)


def _priority(term: _Term) -> Predicate:
    compare = _comparison(term)
    word = term.value.upper()
    if word not in Priority.__members__:
        _fail(term.value_column, f"{term.value!r} is no priority; use {', '.join(Priority.__members__).lower()}")
    wanted = int(Priority[word])
    return lambda task: compare(task.priority, wanted)


def _estimate(term: _Term) -> Predicate:
    compare = _comparison(term)
    try:
        wanted = float(term.value)
    except ValueError:
        _fail(term.value_column, f"{term.value!r} is not a number")
    return lambda task: task.estimate is not None and compare(task.estimate, wanted)


def _text_of(name: str) -> Callable[[_Term], Predicate]:
    def compile_term(term: _Term) -> Predicate:
        equals, wanted = _equality(term), term.value
        return lambda task: equals(getattr(task, name), wanted)

    return compile_term


def _custom(term: _Term) -> Predicate:
    equals, wanted, path = _equality(term), term.value, term.name
    return lambda task: equals(task.value(path), wanted)


def _label(term: _Term) -> Predicate:
    equals, wanted = _equality(term), term.value
    return lambda task: equals(wanted in task.labels, True)


def _depends_on(term: _Term) -> Predicate:
    equals, wanted = _equality(term), term.value
    return lambda task: equals(wanted in task.depends_on, True)


def _conflicts(term: _Term) -> Predicate:
    equals = _equality(term)
    if term.value not in ("true", "false"):
        _fail(term.value_column, f"{term.value!r} is neither true nor false")
    wanted = term.value == "true"
    return lambda task: equals(bool(task.conflicts), wanted)


def _due(term: _Term) -> Predicate:
    """Compares days; an instant counts as its day in UTC, and a task without a due date never matches."""
    compare = _comparison(term)
    iso = term.today if term.value == "today" and term.today else term.value
    try:
        wanted = date.fromisoformat(iso).toordinal() if _ISO_DATE.fullmatch(iso) else None
    except ValueError:
        wanted = None
    if wanted is None:
        _fail(term.value_column, f"{term.value!r} is not a day; write it as 2026-11-21")
    day = wanted
    return lambda task: task.due is not None and compare(_day(task.due), day)


def _day(due: DueDate | DueAt) -> int:
    if isinstance(due, DueDate):
        return date.fromisoformat(due.iso).toordinal()
    return (_EPOCH + timedelta(milliseconds=due.epoch_ms)).toordinal()


def _text(term: _Term) -> Predicate:
    """All words in the key, the title, the description or the labels, whatever their case."""
    _check_colon(term)
    words = term.value.casefold().split()

    def test(task: Task) -> bool:
        text = "\n".join([task.key, task.title, task.description, *task.labels]).casefold()
        return all(word in text for word in words)

    return test


def _has(term: _Term) -> Predicate:
    """A value other than none, nothing, or the empty text."""
    _check_colon(term)
    name = "labels" if term.value == "label" else term.value
    if name.startswith(CUSTOM_PREFIX):
        return lambda task: task.value(name) is not None
    if name not in _PRESENCE:
        names = ", ".join(_PRESENCE)
        _fail(term.value_column, f"{term.value!r} cannot be asked for; use {names} or custom.KEY")
    if name == "estimate":
        return lambda task: task.estimate is not None
    return lambda task: bool(getattr(task, name))


_TERMS: Final[Mapping[str, Callable[[_Term], Predicate]]] = {
    "assignee": _text_of("assignee"),
    "conflicts": _conflicts,
    "depends_on": _depends_on,
    "due": _due,
    "estimate": _estimate,
    "has": _has,
    "label": _label,
    "origin": _text_of("origin"),
    "parent": _text_of("parent"),
    "priority": _priority,
    "status": _status,
    "text": _text,
    "updated_by": _text_of("updated_by"),
}


def _equality(term: _Term) -> Callable[[object, object], bool]:
    found = _EQUALITY.get(term.operator)
    if found is None:
        _fail(term.column + len(term.name), f"{term.name} cannot be compared with {term.operator}; use = or !=")
    return found


def _comparison(term: _Term) -> Callable[[float, float], bool]:
    found = _ORDER.get(term.operator)
    if found is None:
        _fail(term.column + len(term.name), f"{term.name} cannot be compared with {term.operator}; use = != < <= > >=")
    return found


def _check_colon(term: _Term) -> None:
    if term.operator != ":":
        _fail(term.column + len(term.name), f"{term.name} takes a colon: {term.name}:{term.value}")


def _fail(column: int, problem: str) -> NoReturn:
    raise InvalidInputError(f"filter, column {column}: {problem}", metadata={"column": str(column)})
