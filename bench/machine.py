"""Where a benchmark was run: nothing that names the machine, and nothing that says where on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """`profiled`: whether the interpreter was built with profile-guided optimization, worth 15 % of CPU."""

    cores: int
    processor: str
    system: str
    kernel: str
    python: str
    profiled: bool

    def __str__(self) -> str:
        built = f"built with{'' if self.profiled else 'out'} profile-guided optimization"
        python = f"Python {self.python} {built}"
        return f"{self.cores} cores of {self.processor}, {self.system}, {self.kernel}, {python}"


def this_machine() -> Machine:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=models[0].partition(":")[2].strip() if models else platform.machine(),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        profiled=is_profiled(sysconfig.get_config_vars()),
    )


def is_profiled(build: Mapping[str, object]) -> bool:
    """Whether an interpreter with these variables of its build (`sysconfig`) had profile-guided optimization.

    Debian's has, without the option: it asks make for it and cuts the compiler's flags out of what it installs,
    so that there is nothing where `configure` has put some.
    """
    return "--enable-optimizations" in str(build.get("CONFIG_ARGS")) or build.get("PGO_PROF_USE_FLAG") == ""


def openldap_version() -> str:
    """Such as 2.5.13+dfsg-5: the package's."""
    command = ["dpkg-query", "-W", "-f=${Version}", "slapd"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
