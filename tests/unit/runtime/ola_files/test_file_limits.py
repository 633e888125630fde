"""What is made to hurt, read in a child process that may not use much: all of it in a minute of one processor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from weftmesh.runtime.ola_files.findings import FINDINGS_MAX, Code
from weftmesh.runtime.ola_files.reading import RULES_MAX, FileText, load, read_agreements
from weftmesh.runtime.ola_files.yaml_reader import FILE_BYTES_MAX

CPU_S = 60
MEMORY_BYTES = 600 * 1024 * 1024
LIMITED = f"""
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S}))
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
from weftmesh.runtime.ola_files.reading import load, read_agreements
for path in sorted(Path(sys.argv[1]).iterdir()):
    reading = read_agreements([load(path)])
    print(path.stem, *sorted({{str(one.code) for one in reading.errors}}))
"""
GOOD = (
    "apiVersion: weftmesh/v1\nkind: OLA\nmetadata: {name: n%d}\n"
    "spec: {provider: a, consumer: b, service: s, window: 1d, %s}\n"
)
LAUGHS = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]\n" if n else "k0: &k0 [x]\n" for n in range(60))
RARE = "{reason: r, duration: 1h, rrule: FREQ=MONTHLY;BYMONTH=2;BYDAY=5MO;BYHOUR=%d;BYMINUTE=%d}"
NEVER = "exclusions: [{reason: r, duration: 1h, rrule: FREQ=DAILY;INTERVAL=7;BYDAY=TU;BYHOUR=%d}]"


BOMBS = {
    "ten-megabytes": ("x" * 10_000_000, Code.TOO_LARGE),
    "billion-laughs": (LAUGHS, Code.REFUSED_YAML),
    "deep-lists": ("a: " + "[" * 200_000, Code.TOO_LARGE),
    "deep-mappings": ("{a: " * 60_000, Code.TOO_LARGE),
    "deep-blocks": ("".join("  " * n + "a:\n" for n in range(400)), Code.TOO_LARGE),
    "many-values": ("[" + "a, " * 80_000, Code.TOO_LARGE),
    "one-key-again-and-again": ("a: 1\n" * 50_000, Code.DUPLICATE),
    "keys-within-keys": ("? " * 100_000, Code.TOO_LARGE),
    "open-quote": ("'" + "x" * 250_000, Code.SYNTAX),
    "long-number": ("a: " + "9" * 250_000, Code.MISSING_KEY),
    "many-documents": ("---\n" * 60_000 + "x", Code.TOO_LARGE),
    "rules-that-never-happen": (
        "---\n".join(GOOD % (n, "objectives: {uptime: 99}, " + NEVER % (n % 24)) for n in range(900)),
        Code.CONTRADICTION,
    ),
    "rules-that-happen-every-28-years": (
        "---\n".join(
            GOOD % (n, "objectives: {}, exclusions: [" + ", ".join(RARE % (h, n) for h in range(24)) + "]")
            for n in range(12)
        ),
        Code.CONTRADICTION,
    ),
}

BOMBS["more-rules-than-anybody-has"] = (
    "---\n".join(
        GOOD % (n, "objectives: {uptime: 99}, exclusions: [" + ", ".join(RARE % (h, n % 60) for h in range(24)) + "]")
        for n in range(95)
    ),
    Code.TOO_LARGE,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The codes of the errors in each bomb."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (text, _) in BOMBS.items():
        (folder / f"{name}.yaml").write_text(text)
    ran = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    rows = [line.split() for line in ran.stdout.splitlines()]
    return {name: codes for name, *codes in rows}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_hurt_is_refused_soon(found: dict[str, list[str]], name: str) -> None:
    assert str(BOMBS[name][1]) in found[name]


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 100))
    assert len(load(path).data) == FILE_BYTES_MAX + 1


def test_the_largest_file_that_is_read() -> None:
    one = (GOOD % (1, "objectives: {uptime: 99}")).encode()
    padded = one + b"#" * (FILE_BYTES_MAX - len(one))
    assert len(read_agreements([FileText("a.yaml", padded)]).agreements) == 1
    assert read_agreements([FileText("a.yaml", padded + b"#")]).errors[0].code == Code.TOO_LARGE


def test_nobody_has_to_read_more_than_so_many_findings() -> None:
    bad = "\n".join(f"key{n}: 1" for n in range(500)).encode()
    reading = read_agreements([FileText(f"{n}.yaml", bad) for n in range(3)])
    assert len(reading.findings) == FINDINGS_MAX


def with_rules(rules: int, agreements: int) -> bytes:
    """Agreements, each with one of so many different rules."""
    rule = "objectives: {uptime: 99}, exclusions: [{reason: r, duration: 1h, rrule: FREQ=DAILY;BYHOUR=%d;BYMINUTE=%d}]"
    return "---\n".join(GOOD % (n, rule % divmod(n % rules, 60)) for n in range(agreements)).encode()


def test_a_file_has_so_many_different_rules() -> None:
    reading = read_agreements([FileText("a.yaml", with_rules(RULES_MAX, RULES_MAX + 100))])
    assert (len(reading.agreements), reading.findings) == (RULES_MAX + 100, ())


def test_the_rule_that_is_one_too_many_is_named_with_its_place() -> None:
    [found] = read_agreements([FileText("a.yaml", with_rules(RULES_MAX + 9, RULES_MAX + 9))]).errors
    assert (found.code, found.mark.line) == (Code.TOO_LARGE, (RULES_MAX + 1) * 5 - 1)
    assert f"{RULES_MAX} different rules" in str(found)
    assert "fix: make several files" in str(found)


def test_each_file_has_its_own_rules() -> None:
    half = RULES_MAX * 2 // 3
    first, second = with_rules(half, half), with_rules(RULES_MAX, RULES_MAX).replace(b"{name: n", b"{name: m")
    reading = read_agreements([FileText("a.yaml", first), FileText("b.yaml", second)])
    assert len(reading.agreements) == half + RULES_MAX
