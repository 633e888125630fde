"""Child processes that end with the block that started them, also on Ctrl-C."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

STOP_TIMEOUT_S: Final = 10.0
START_TIMEOUT_S: Final = 20.0


class BenchmarkError(Exception):
    """The benchmark cannot go on; the message says what to do."""


def program(name: str, package: str) -> str:
    """The path of an installed program.

    Raises:
        BenchmarkError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise BenchmarkError(f"{name} is not installed; install Debian's package {package}")
    return path


def start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own: Ctrl-C in the terminal is not for it."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603, our own arguments
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and wait for it: SIGTERM, and SIGKILL when that did not help in time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
        return


@contextmanager
def running(command: Sequence[str], **streams: int) -> Iterator[subprocess.Popen[str]]:
    """A child for as long as the block runs. Not asyncio's: under uvloop that forks, at which gRPC complains."""
    process = subprocess.Popen(command, text=True, start_new_session=True, **streams)  # type: ignore[call-overload]  # noqa: S603
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


async def said(process: subprocess.Popen[str], line: str) -> None:
    """Return once a child has printed this as its first line.

    Raises:
        BenchmarkError: it printed something else, or nothing in time.
    """
    assert process.stdout is not None  # noqa: S101, the caller's pipe
    # A thread that reads cannot be interrupted: the child's end, at the latest, ends its reading.
    reading = asyncio.ensure_future(asyncio.to_thread(process.stdout.readline))
    done, _ = await asyncio.wait((reading,), timeout=START_TIMEOUT_S)
    if not done or reading.result() != line:
        raise BenchmarkError(f"no {line.strip()!r} came, see what it said above: {str(process.args)[:200]}")


async def output_of(command: Sequence[str], timeout_s: float) -> str:
    """What a program prints, once it has ended well.

    Raises:
        BenchmarkError: it failed, or took too long.
    """
    with running(command, stdout=subprocess.PIPE) as process:
        return await finished(process, timeout_s)


async def finished(process: subprocess.Popen[str], timeout_s: float, last_input: str | None = None) -> str:
    """What a child prints until it ends, which it has to do well and in time.

    Raises:
        BenchmarkError: it did not.
    """
    what = str(process.args)[:200]
    try:
        printed, _ = await asyncio.to_thread(process.communicate, last_input, timeout_s)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"still running after {timeout_s:g} s: {what}") from None
    if process.returncode != 0:
        raise BenchmarkError(f"ended with {process.returncode}, see what it said above: {what}")
    return printed
