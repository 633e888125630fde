"""Reading files of JSON entry by entry: an array, several of them, or one object after another, plain or gzip.

Only one entry is held as text at a time, so memory follows the tasks and not the file. Broken JSON anywhere refuses the
file as a whole: an export that was cut short is not an export.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NoReturn, Protocol

from weftmesh.client.exchange.tables import ROWS_MAX, Table, open_plain
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import ImportedTask

ENTRY_CHARACTERS_MAX: Final = 32 * 1024 * 1024
FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Unpacked: a small gzip file may hold any number of bytes."""
DEPTH_MAX: Final = 64
_PROBLEMS_MAX: Final = 10_000
"""Kept; a file with more of them is none of this kind."""
_TOKEN_CHARACTERS: Final = 64
"""More than any word, number's sign or escape of JSON has."""
_CHUNK_BYTES: Final = 256 * 1024
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_BETWEEN: Final = re.compile(r"[ \t\r\n,]*")
"""Older exports of Taskwarrior put commas after lines without brackets around them."""


class EntryReader(Protocol):
    """What becomes of the entries of one file; `core.exchange.github` and `taskwarrior` implement it."""

    def read(self, line: int, value: object) -> ImportedTask | tuple[Problem, ...] | None:
        """A task, what is wrong with it, or None for what is left out on purpose."""

    def finish(self, rows: list[ImportedTask]) -> list[ImportedTask]:
        """All rows, now that the last one is known."""

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What was left out."""


def read_documents(path: Path, reader: EntryReader) -> Table:
    """Reads every entry; bad ones become problems. Blocks: call it in a thread.

    Raises:
        InvalidInputError: the file as a whole cannot be read: absent, damaged, cut short, no JSON, too large.
    """
    rows: list[ImportedTask] = []
    problems: list[Problem] = []
    bad_rows = 0
    for line, value in read_entries(path):
        result = reader.read(line, value)
        if isinstance(result, ImportedTask):
            rows.append(result)
        elif result is not None:
            bad_rows += 1
            problems.extend(result)
            if len(problems) > _PROBLEMS_MAX:
                raise InvalidInputError(
                    f"{path}: more than {_PROBLEMS_MAX:,} problems, first {problems[0]}; is it a file of this kind?"
                )
    return Table(tuple(reader.finish(rows)), tuple(problems), reader.notes, bad_rows)


def read_entries(path: Path, *, entries_max: int = ROWS_MAX) -> Iterator[tuple[int, object]]:
    """Yields (physical line it begins at, value) of every entry.

    Raises:
        InvalidInputError: see `read_documents`.
    """
    try:
        with open_plain(path) as file:
            for count, entry in enumerate(_Scanner(path, file).entries(), start=1):
                if count > entries_max:
                    raise InvalidInputError(f"{path}:{entry[0]}: more than {entries_max:,} entries; split the file")
                yield entry
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInputError(f"{path}: the gzip file is damaged or cut short ({error}); copy it again") from error
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror or error})") from error


class _Scanner:
    """A window onto the file's text that moves from entry to entry."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
        self._text = ""
        self._at = 0
        self._line = 1
        self._bytes = 0
        self._ended = False

    def entries(self) -> Iterator[tuple[int, object]]:
        """Every entry: the items of arrays on the outside, and objects that stand there by themselves."""
        found = False
        while character := self._next(_BETWEEN if found else _BLANKS):
            found = True
            if character == "[":
                self._advance(self._at + 1)
                yield from self._items()
            else:
                yield self._value()
        if not found:
            self._fail("the file is empty", "export again; an empty list is written []")

    def _items(self) -> Iterator[tuple[int, object]]:
        """The items of an array that was opened; those of arrays within it too, which is how pages are collected."""
        if self._next(_BLANKS) == "]":
            self._advance(self._at + 1)
            return
        while True:
            if self._next(_BLANKS) == "[":
                line, page = self._value()
                yield from ((line, item) for item in page) if isinstance(page, list) else ()
            else:
                yield self._value()
            closing = self._next(_BLANKS)
            if closing not in (",", "]"):
                self._cut_short() if not closing else self._fail("a comma is missing here", "export again")
            self._advance(self._at + 1)
            if closing == "]":
                return

    def _value(self) -> tuple[int, object]:
        """The value that begins here. A window that ends inside it grows, at most to the limit, by doubling."""
        line = self._line
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
                # A number at the window's end may go on after it.
                if end < len(self._text) or self._ended:
                    break
            except RecursionError:
                self._fail("nested too deeply", "is it an export?")
            except json.JSONDecodeError as error:
                # What the window's end cut off cannot be told from an error there, and from nothing before it.
                cut_off = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _TOKEN_CHARACTERS
                if self._ended or not cut_off:
                    self._broken(error)
            except ValueError as error:
                self._fail(str(error), "export again")
            size = len(self._text) - self._at
            if size > ENTRY_CHARACTERS_MAX:
                self._fail(f"no entry of JSON within {ENTRY_CHARACTERS_MAX:,} characters", "is it an export?")
            self._grow(max(size, _CHUNK_BYTES))
        if _depth_exceeds(value, DEPTH_MAX):
            self._fail(f"nested deeper than {DEPTH_MAX}", "is it an export?")
        self._advance(end)
        return line, value

    def _next(self, blanks: re.Pattern[str]) -> str:
        """The next character that is not blank, where the scanner then stands; empty at the end."""
        while True:
            match = blanks.match(self._text, self._at)
            self._advance(match.end() if match else self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._grow(_CHUNK_BYTES)

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _grow(self, size_bytes: int) -> None:
        chunk = self._file.read(size_bytes)
        if self._bytes == 0 and chunk.startswith(_UTF16_MARKS):
            raise InvalidInputError(f"{self._path}: is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = self._line + self._text.count("\n", self._at) + error.object.count(b"\n", 0, error.start)
            raise InvalidInputError(
                f"{self._path}:{line}: is not UTF-8; convert it: iconv -f ENCODING -t UTF-8, or -c to drop what is not"
            ) from error
        if self._bytes == 0:
            text = text.removeprefix(_UTF8_MARK)
        self._bytes += len(chunk)
        if self._bytes > FILE_BYTES_MAX:
            self._fail(f"more than {FILE_BYTES_MAX:,} bytes", "split the file")
        self._ended = not chunk
        self._text = self._text[self._at :] + text
        self._at = 0

    def _broken(self, error: json.JSONDecodeError) -> NoReturn:
        self._advance(min(error.pos, len(self._text)))
        if self._ended and (not self._text[self._at :].strip() or error.msg.startswith("Unterminated string")):
            self._cut_short()
        self._fail(f"not JSON ({error.msg.lower()})", "is it an export?")

    def _cut_short(self) -> NoReturn:
        self._fail(
            "the file ends in the middle of an entry; it was cut short, or is still being written", "export again"
        )

    def _fail(self, what: str, fix: str) -> NoReturn:
        raise InvalidInputError(f"{self._path}:{self._line}: {what}; {fix}")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("an object names the same field twice")
    return names


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _depth_exceeds(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [item for one in level for item in _children(one)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [item for item in value.values() if isinstance(item, dict | list)]
    return [item for item in value if isinstance(item, dict | list)] if isinstance(value, list) else []


MakeReader = Callable[[str], EntryReader]
"""A reader for the file that a person named so."""
