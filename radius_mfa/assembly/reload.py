"""A reload is all or nothing: everything is prepared, and only then does anything change."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from radius_mfa.assembly.rules import load
from radius_mfa.config.difference import difference
from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import ConfigurationError, RadiusMfaError

# What cannot change while the server runs; of a listener, its kind and its address.
_UNTIL_RESTART = ("workers", "storage", "storage_password", "key_file", "metrics", "user")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What takes over with `commit`, which cannot fail, or is let go with `abandon`."""

    commit: Callable[[], None]
    abandon: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class News:
    """What a reload brings: `changes` to what was in force, and what will be so after a `restart` only."""

    loaded: Loaded
    changes: tuple[str, ...]
    restart: tuple[str, ...]


def read(path: Path, started: Loaded, in_force: Loaded) -> News:
    """What has become of the file.  Raises ConfigurationError."""
    loaded = load(path, os.environ, in_force=True)  # time alone is not to keep an administrator from changes
    now, then = loaded.configuration, started.configuration
    restart = [key for key in _UNTIL_RESTART if getattr(now, key) != getattr(then, key)]
    if [(each.udp, each.radsec) for each in now.listen] != [(each.udp, each.radsec) for each in then.listen]:
        restart.insert(0, "listen")
    return News(loaded, difference(in_force, loaded), tuple(restart))


def problems_of(broken: Exception) -> tuple[str, ...]:
    """Why there is no reload, in lines; of a mistake of ours only its kind, since its text may quote anything."""
    if isinstance(broken, ConfigurationError):
        return broken.problems
    return (str(broken) if isinstance(broken, RadiusMfaError) else type(broken).__name__,)
