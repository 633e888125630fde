"""What a run came to, as a table for people."""

from __future__ import annotations

from tests.hostile.assault import Result
from tests.hostile.honest import quantile

MIB = 1024 * 1024


def report(result: Result) -> str:
    """The table of kinds, then what the attacks did."""
    lines = [f"{'kind':38} {'inputs':>6} {'turned away':>11} {'longest':>9}  doors"]
    for kind, tally in sorted(result.tallies.items()):
        doors = ", ".join(f"{name} {count}" for name, count in sorted(tally["doors"].items()))
        lines.append(f"{kind:38} {tally['inputs']:6} {tally['turned_away']:11} {tally['longest_s']:7.1f} s  {doors}")
    lines.append(f"{result.inputs} inputs in {result.took_s:.0f} s")
    lines += [
        f"{one.name}: {one.rss_before_bytes / MIB:.0f} MiB resident before, {one.rss_peak_bytes / MIB:.0f} at most; "
        f"descriptors {one.files_before} before, {one.files_peak} at most, {one.files_after} after; "
        f"{one.log_lines} lines of log, {one.own_log_lines} its own; {'lived' if one.lived else 'DIED'}"
        for one in result.processes
    ]
    for name, values in (
        ("honest calls, quiet", result.quiet_s),
        ("honest calls, attacked", result.attacked_s),
        ("Resolve, quiet", result.routed_quiet_s),
        ("Resolve, attacked", result.routed_attacked_s),
    ):
        p50, p99 = (quantile(values, share) * 1000 for share in (0.5, 0.99))
        lines.append(f"{name}: {len(values)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    lines.append(f"tables told to an honest follower meanwhile: {result.tables}")
    lines.append(f"honest calls that failed: {len(result.failures)} {result.failures[:3]}")
    lines.append(f"leader and term: {' then '.join(f'{name} {term}' for name, term in result.leaders)}")
    return "\n".join(lines)
