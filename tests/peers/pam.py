"""Debian's pam_radius (libpam-radius-auth), asked by pamtester: a login as sshd or su would have it.

Nothing of the system is touched: pam_wrapper has the module's configuration read from a temporary folder.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_SERVICE = "login"
_TRY, _TRIES = 3, 5  # seconds a try takes, of which the module allows no fewer, and how many there are


@dataclass(frozen=True, slots=True)
class PamLogin:
    """How a login ended.  `prompts`: what the user was asked, in order.  `output`: all that was shown."""

    ok: bool
    prompts: tuple[str, ...]
    output: str


def pam_login(
    port: int, secret: str, user: str, answers: Iterable[str | Callable[[], str]], *, source: str = "127.0.0.1"
) -> PamLogin:
    """Log in, giving one answer to a prompt while there are any; one that must be found out first is called then.

    `secret` has no white space.  `source`: the address that the server sees.
    """
    with tempfile.TemporaryDirectory(prefix="pam-") as name:
        folder = Path(name)
        (folder / "server").touch(0o600)
        (folder / "server").write_text(f"127.0.0.1:{port} {secret} {_TRY} {source}\n")
        (folder / "services").mkdir()
        rule = f"auth required pam_radius_auth.so conf={folder}/server retry={_TRIES}\n"
        for service in (_SERVICE, "other"):  # it complains where there is no `other`
            (folder / "services" / service).write_text(rule)
        environment = {
            **os.environ,
            "LD_PRELOAD": "libpam_wrapper.so",
            "PAM_WRAPPER": "1",
            "PAM_WRAPPER_SERVICE_DIR": f"{folder}/services",
        }
        return _converse(["pamtester", _SERVICE, user, "authenticate"], environment, answers)


def _converse(
    command: list[str], environment: dict[str, str], answers: Iterable[str | Callable[[], str]]
) -> PamLogin:
    prompts, output = [], ""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for answer in answers:
            shown = _until_prompt(process.stdout.fileno())
            output += shown
            if not shown or shown.endswith("\n"):
                break  # it has ended
            prompts.append(shown.splitlines()[-1])
            text = answer if isinstance(answer, str) else answer()
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
        rest, _ = process.communicate()
    return PamLogin(process.returncode == 0, tuple(prompts), output + rest.decode())


def _until_prompt(descriptor: int) -> str:
    """What is shown up to a prompt, which is what does not end its line, or to the end of everything."""
    shown = b""
    while octets := os.read(descriptor, 4096):
        shown += octets
        if not shown.endswith(b"\n"):
            break
    return shown.decode()
