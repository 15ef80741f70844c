"""What FreeRADIUS's rlm_python3 loads (`module = radius_mfa.freeradius`): the login inside of FreeRADIUS.

The module `radiusd` is there only.  Its `config` is that section of FreeRADIUS's module: `yaml`, the file of our
configuration; `max_request_time`, FreeRADIUS's own; `longest_login`.
"""

from __future__ import annotations

import sys
from getopt import GetoptError, getopt
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radius_mfa.transports.freeradius import Inside, Module

_CONFIG = ("yaml", "max_request_time", "longest_login")
_OPTIONS = "Cd:D:fhi:l:mMn:p:PstvxX"  # radiusd(8)
_YAML = "/etc/radius-mfa/radius-mfa.yaml"
_LEVELS = {"debug": "L_DBG", "info": "L_INFO", "warning": "L_WARN", "error": "L_ERR", "critical": "L_ERR"}

_radiusd: Any = import_module("radiusd")


def _ours_first() -> None:
    """rlm_python3 puts its `python_path` behind the system's, where the same libraries may be older."""
    here = Path(__file__).parents[1]
    at = next((at for at, each in enumerate(sys.path) if Path(each) == here), 0)
    sys.path[:] = [*sys.path[at:], *sys.path[:at]]


def _made() -> Module:
    _ours_first()
    from radius_mfa.transports.freeradius import Module

    return Module(_radiusd, _begin)


def _begin() -> Inside | None:
    """None where FreeRADIUS only looks whether it could start."""
    from radius_mfa.core.errors import ConfigurationError

    try:
        from radius_mfa.assembly.embedded import begin, check
    except ImportError as missing:  # compiled for another Python, mostly
        version = ".".join(map(str, sys.version_info[:2]))
        text = f"cannot import {missing.name}: make python_path a virtual environment of Python {version}"
        raise ConfigurationError(text) from None
    config = _radiusd.config
    if unknown := [name for name in config if name not in _CONFIG]:
        raise ConfigurationError(f"config.{unknown[0]}: unknown; there are {', '.join(_CONFIG)}")
    yaml, max_request_time = Path(config.get("yaml", _YAML)), _seconds("max_request_time", 30)
    longest = _seconds("longest_login", 5)
    if _only_looks():
        check(yaml)
        return None
    return begin(yaml, max_request_time, longest, _say)


def _only_looks() -> bool:
    """Whether it was started with -C; up to 3.2.6 it instantiates its modules all the same."""
    arguments = Path("/proc/self/cmdline").read_bytes().decode(errors="replace").split("\0")[1:-1]
    try:
        options, _ = getopt(arguments, _OPTIONS)
    except GetoptError:
        return False
    return any(option == "-C" for option, _ in options)


def _seconds(name: str, otherwise: int) -> float:
    from radius_mfa.core.errors import ConfigurationError

    written = _radiusd.config.get(name, str(otherwise))
    if not written.isdecimal() or int(written) == 0:
        raise ConfigurationError(f"config.{name}: {written!r} is not a number of seconds")
    return float(written)


def _say(level: str, line: str) -> None:
    _radiusd.radlog(getattr(_radiusd, _LEVELS[level]), f"radius_mfa: {line}")


_module = _made()
instantiate = _module.instantiate
authorize = _module.authorize
authenticate = _module.authenticate
post_auth = _module.post_auth
detach = _module.detach
