"""Whatever is in a file, reading it ends in agreements or findings and in nothing else."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.runtime.ola_files.reading import FileText, Reading, read_agreements
from weftmesh.runtime.ola_files.scalars import ambiguity, value_of

GOOD = [path.read_bytes() for path in sorted((Path(__file__).resolve().parents[4] / "examples").glob("*.yaml"))]
SPECIALS = [
    *(
        b"\t",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"&a ",
        b"*a",
        b"!!int ",
        b"!x ",
    ),
    *(
        b"|\n",
        b">\n",
        b"? ",
        b"- ",
        b": ",
        b", ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"'",
        b'"',
        b"#",
        b"%",
        b"@",
        b"`",
        b"<<: ",
        b"---\n",
    ),
    *(
        b"...\n",
        b"~",
        b"null",
        b"yes",
        b"010",
        b"1_0",
        b"1e999",
        b"-1",
        b".inf",
        b"9" * 50,
        b"12:30:00",
        b"2027-01-01",
        b"\\x",
    ),
]


def check(reading: Reading) -> None:
    for finding in reading.findings:
        assert finding.mark.line >= 1
        assert finding.mark.column >= 1
        assert finding.message
        assert finding.fix
        assert str(finding).isprintable() or "\n" in str(finding)
        assert finding.as_json()["line"] == finding.mark.line
    assert reading.errors or reading.agreements or reading.findings


def mutated(data: bytes, seed: int, changes: int) -> bytes:
    """Pieces cut, doubled, moved, and replaced by what YAML takes for special."""
    rng = random.Random(seed)
    for _ in range(changes):
        begin = rng.randrange(len(data) + 1)
        end = min(len(data), begin + rng.choice((0, 1, 1, 2, 8, 40)))
        new = rng.choice((rng.choice(SPECIALS), rng.choice(SPECIALS), b"", data[begin:end] * 2))
        data = data[:begin] + new + data[end:]
    return data


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(GOOD), st.integers(0, 2**32), st.integers(1, 6))
def test_a_good_file_that_was_damaged(data: bytes, seed: int, changes: int) -> None:
    check(read_agreements([FileText("damaged.yaml", mutated(data, seed, changes))]))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200) | st.text(alphabet=" \n\t-:{}[]&*!|>'\"#%@,?a1", max_size=80).map(str.encode))
def test_anything_at_all(data: bytes) -> None:
    check(read_agreements([FileText("noise.yaml", data)]))


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_scalar_is_a_number_only_where_everybody_agrees(text: str) -> None:
    value = value_of(text)
    if ambiguity(text) is not None:
        assert not isinstance(value, bool)
    if isinstance(value, int) and not isinstance(value, bool):
        assert int(text) == value
