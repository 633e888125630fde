"""Whether there is a Bluetooth adapter to hear a heart rate with, where the node is asked to."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity

CHECK: Final = "bluetooth"
HEART: Final = "weftmesh.heart"
CLASSES: Final = Path("/sys/class")
_BLOCKED: Final = "1"


def check_bluetooth(classes: Path = CLASSES, *, wanted: bool | None = None) -> list[Finding]:
    """Look for an adapter that is neither absent nor blocked.

    Args:
        classes: where the kernel lists devices by class.
        wanted: whether anything needs it; None to see whether the package that does is installed.
    """
    if wanted is None:
        wanted = find_spec(HEART) is not None
    if not wanted:
        return [Finding(CHECK, Severity.SKIPPED, "not asked for", "weftmesh-heart is not installed")]
    adapters = sorted(path.name for path in (classes / "bluetooth").glob("hci*"))
    if not adapters:
        evidence = f"{classes / 'bluetooth'} lists none"
        fix = Fix("systemctl enable --now bluetooth.service", then="and plug an adapter in, if there is none")
        return [Finding(CHECK, Severity.FAILURE, "there is no Bluetooth adapter", evidence, (fix,))]
    for switch in sorted((classes / "rfkill").glob("rfkill*")):
        if (switch / "type").read_text().strip() == "bluetooth" and _is_blocked(switch):
            fix = Fix("rfkill unblock bluetooth")
            return [Finding(CHECK, Severity.FAILURE, "Bluetooth is blocked", f"{switch} says so", (fix,))]
    return [Finding(CHECK, Severity.OK, "an adapter is there", ", ".join(adapters))]


def _is_blocked(switch: Path) -> bool:
    return any((switch / kind).read_text().strip() == _BLOCKED for kind in ("soft", "hard"))
