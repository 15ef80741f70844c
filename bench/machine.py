"""Where a benchmark was run: nothing that names the machine, and nothing that says where on it."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    cores: int
    processor: str
    system: str
    kernel: str
    python: str

    def __str__(self) -> str:
        return f"{self.cores} cores of {self.processor}, {self.system}, {self.kernel}, Python {self.python}"


def this_machine() -> Machine:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=models[0].partition(":")[2].strip() if models else platform.machine(),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
    )


def openldap_version() -> str:
    """Such as 2.5.13+dfsg-5: the package's."""
    command = ["dpkg-query", "-W", "-f=${Version}", "slapd"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
