"""A virtual machine: qemu with an emulated processor (TCG), Debian's kernel, systemd, all of cgroup v2."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.vm.channel import Channel
from tests.vm.kernel import Kernel

QEMU = "qemu-system-x86_64"
PROCESSORS = 2
MEMORY_MIB = 2560
# Tests of the kernel's cryptography take seconds, and one of them fails on this processor; none of it is used here.
KERNEL_WORDS = "console=ttyS0 quiet cryptomgr.notests mitigations=off nokaslr audit=0 panic=5 systemd.show_status=0"
BOOT_TIMEOUT_S = 900.0
STOP_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 900.0
STATE_TIMEOUT_S = 900.0
SOCKET_TIMEOUT_S = 30.0
POLL_S = 0.5


class Machine:
    """One machine, which keeps its disk over boots and kills.

    Args:
        kernel: what it is started with.
        disk: options of qemu's -blockdev for its disk.
        shared: a directory that it sees as /host.
        directory: where its console and what it says are written, over all its boots.
    """

    def __init__(self, kernel: Kernel, disk: str, shared: Path, directory: Path) -> None:
        self._kernel = kernel
        self._disk = disk
        self._shared = shared
        self._console = directory / "console"
        self.said = directory / "said"
        """What programs of the machine wrote to the port `said`: on the host from the moment they wrote it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._boot = ""

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither shut down nor killed."""
        return self._process is not None

    def boot(self) -> float:
        """Start it; returns how long it took until it took commands, in seconds."""
        began_s = time.monotonic()
        # A socket's path is short; a test's directory may not be.
        self._sockets = Path(tempfile.mkdtemp(prefix="vm-"))
        with self._console.open("ab") as errors:
            self._process = subprocess.Popen(self._words(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        path = self._sockets / "commands"
        self._wait(path.exists, "has no port", SOCKET_TIMEOUT_S)
        self._channel = Channel(path)
        return self.wait_for_boot() - began_s

    def wait_for_boot(self) -> float:
        """Return when it has booted, once more if it did before; the moment of the host's clock, in seconds."""
        assert self._channel is not None
        try:
            self._boot = self._channel.wait_for_boot(self._boot, BOOT_TIMEOUT_S)
        except OSError as error:
            error.add_note(f"its console:\n{self._last_words()}")
            raise
        return time.monotonic()

    def run(
        self, *words: str, check: bool = True, stdin: str = "", timeout_s: float = RUN_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it.

        Raises:
            AssertionError: it failed and `check` is set.
        """
        assert self._channel is not None
        result = self._channel.run(words, stdin, timeout_s)
        assert not check or result.returncode == 0, f"{words}: {result.returncode}\n{result.stderr}{result.stdout}"
        return result

    def shown(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit."""
        listed = [word for name in properties for word in ("-p", name)]
        return dict(line.split("=", 1) for line in self.run("systemctl", "show", unit, *listed).stdout.splitlines())

    def wait_until(self, unit: str, name: str, value: str, timeout_s: float = STATE_TIMEOUT_S) -> None:
        """Return when a property of a unit has a value."""
        try:
            self._wait(lambda: self.shown(unit, name)[name] == value, f"does not see {unit} {name}={value}", timeout_s)
        except AssertionError as error:
            error.add_note(self.run("journalctl", "--no-pager", "-n", "40", "-u", unit, check=False).stdout)
            raise

    def power_off(self) -> None:
        """Shut it down in order."""
        if self._process is None:
            return
        self.run("systemctl", "poweroff", "--no-block")
        self._process.wait(STOP_TIMEOUT_S)
        self._forget()

    def kill(self) -> None:
        """End it at once, wherever it is."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._forget()

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._process = self._channel = None
        shutil.rmtree(self._sockets)

    def _words(self) -> list[str]:
        machine = ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-nodefaults", "-display", "none"]
        size = ["-smp", str(PROCESSORS), "-m", str(MEMORY_MIB)]
        kernel = ["-kernel", str(self._kernel.image), "-initrd", str(self._kernel.initramfs), "-append", KERNEL_WORDS]
        disk = ["-blockdev", f"node-name=disk,{self._disk}", "-device", "virtio-blk-pci,drive=disk,write-cache=on"]
        share = f"local,id=host,path={self._shared},security_model=none,readonly=on"
        devices = ["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
        console = ["-chardev", f"file,id=console,path={self._console},append=on", "-serial", "chardev:console"]
        ports = [
            *("-chardev", f"socket,id=commands,path={self._sockets / 'commands'},server=on,wait=off"),
            *("-device", "virtserialport,chardev=commands,name=commands"),
            *("-chardev", f"file,id=said,path={self.said},append=on"),
            *("-device", "virtserialport,chardev=said,name=said"),
        ]
        files = ["-fsdev", share, "-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]
        return [QEMU, *machine, *size, *kernel, *disk, *devices, *console, *ports, *files]

    def _wait(self, done: Callable[[], bool], why: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"the machine {why}:\n{self._last_words()}"
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        return self._console.read_text(errors="replace")[-3_000:]
