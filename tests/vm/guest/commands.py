"""Run in the machine: does what the host sends over a virtio port, one line of JSON for each command and its result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "NO_COLOR": "1"}
TIMED_OUT = 124
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PORTS = Path("/sys/class/virtio-ports")


def port(name: str) -> str:
    """The device of a virtio port."""
    found = next(one for one in PORTS.iterdir() if (one / "name").read_text().strip() == name)
    return f"/dev/{found.name}"


def run(words: list[str], stdin: str, timeout_s: float) -> dict[str, object]:
    """Run one command; whatever becomes of it is its result."""
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return {"code": TIMED_OUT, "out": _text(error.stdout), "err": f"not done after {timeout_s} s"}
    except OSError as error:
        return {"code": error.errno, "out": "", "err": str(error)}
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def _text(found: bytes | str | None) -> str:
    return found.decode(errors="replace") if isinstance(found, bytes) else found or ""


def main() -> None:
    """Say which boot this is, then serve."""
    with Path(port(sys.argv[1] if len(sys.argv) > 1 else "commands")).open("r+b", buffering=0) as channel:

        def say(message: dict[str, object]) -> None:
            line = json.dumps(message).encode() + b"\n"
            while line:
                line = line[channel.write(line) :]

        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        say({"boot": BOOT_ID.read_text().strip(), "uptime_s": uptime_s})
        rest = b""
        while piece := channel.read(65_536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                say({"id": asked["id"], **run(asked["words"], asked["stdin"], asked["timeout_s"])})


if __name__ == "__main__":
    main()
