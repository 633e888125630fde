"""Reading a CSV file, plain or gzip, row by row, with the physical line each row begins at."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.mapping import ColumnMapping
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import ImportedTask, RowReader

ROWS_MAX: Final = 1_000_000
LINE_BYTES_MAX: Final = 4 * 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Table:
    """All of one file."""

    rows: tuple[ImportedTask, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    bad_rows: int


def read_table(path: Path, mapping: ColumnMapping, *, encoding: str = "utf-8") -> Table:
    """Reads every row; bad ones become problems. Blocks: call it in a thread.

    Raises:
        InvalidInputError: the file as a whole cannot be read: absent, damaged, another encoding, quotes that do not
            match, a header without the columns that are needed.
    """
    lines = read_rows(path, delimiter=mapping.delimiter, encoding=encoding)
    _, header = next(lines, (0, []))
    if not header:
        raise InvalidInputError(f"{path}: the file is empty; its first line has to name the columns")
    reader = RowReader(header, mapping, str(path))
    rows: list[ImportedTask] = []
    problems: list[Problem] = []
    bad_rows = 0
    for line, cells in lines:
        result = reader.read(line, cells)
        if isinstance(result, ImportedTask):
            rows.append(result)
        else:
            problems.extend(result)
            bad_rows += 1
    return Table(tuple(rows), tuple(problems), reader.notes, bad_rows)


def read_rows(
    path: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    rows_max: int = ROWS_MAX,
    line_bytes_max: int = LINE_BYTES_MAX,
) -> Iterator[tuple[int, list[str]]]:
    """Yields (first physical line, cells) of every row that is not blank, the header included.

    Raises:
        InvalidInputError: see `read_table`.
    """
    try:
        with open_plain(path) as file:
            lines = _decoded_lines(path, file, encoding, line_bytes_max)
            for count, row in enumerate(_parse(path, lines, delimiter), start=1):
                if count > rows_max:
                    raise InvalidInputError(f"{path}:{row[0]}: more than {rows_max:,} rows; split the file")
                yield row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInputError(f"{path}: the gzip file is damaged or cut short ({error}); copy it again") from error
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror or error})") from error


def open_plain(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is gzip."""
    with path.open("rb") as probe:
        compressed = probe.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path)) if compressed else path.open("rb")


def _decoded_lines(path: Path, file: IO[bytes], encoding: str, bytes_max: int) -> Iterator[str]:
    """Lines end at line feeds only; each is decoded on its own so that an error has a line number."""
    number = 0
    while line := file.readline(bytes_max + 1):
        number += 1
        if len(line) > bytes_max:
            raise InvalidInputError(f"{path}:{number}: longer than {bytes_max:,} bytes; is this a CSV file?")
        if number == 1 and line.startswith(_UTF16_MARKS):
            raise InvalidInputError(f"{path}: is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
        yield _decode(path, number, line, encoding)


def _decode(path: Path, number: int, line: bytes, encoding: str) -> str:
    try:
        text = line.decode(encoding)
    except UnicodeError as error:
        where = f"byte {error.start + 1} " if isinstance(error, UnicodeDecodeError) else "it "
        raise InvalidInputError(
            f"{path}:{number}: {where}is not {encoding}; name the file's encoding with --encoding, such as cp1252"
        ) from error
    except LookupError as error:
        raise InvalidInputError(f"{path}: there is no encoding {encoding!r}; try utf-8 or cp1252") from error
    return text.removeprefix(_UTF8_MARK) if number == 1 else text


def _parse(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    # Strict, so that a quote that is never closed is an error and does not swallow the rest of the file.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidInputError(
                f"{path}:{line}: the row that begins here is not CSV ({error}); look for a quote that is not doubled "
                "or not closed"
            ) from error
        if cells:
            yield line, cells
