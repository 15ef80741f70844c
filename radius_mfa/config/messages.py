"""`config/messages/`: what users are told, a file a language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from radius_mfa.core.errors import ConfigurationError


def load_messages(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """Language, then key, then text; the language is the file's name.  Raises ConfigurationError."""
    return {path.stem: _texts(path) for path in sorted(folder.glob("*.yaml"))}


def _texts(path: Path) -> dict[str, str]:
    try:
        texts = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as broken:
        raise ConfigurationError(f"{path}: cannot be read: {type(broken).__name__}") from None
    if not isinstance(texts, dict) or not all(isinstance(each, str) for pair in texts.items() for each in pair):
        raise ConfigurationError(f"{path}: must be keys and their texts")
    return texts
