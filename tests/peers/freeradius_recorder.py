"""In the place of our own module inside of FreeRADIUS: writes down what it is given, returns what it is told.

`yaml` of its configuration names a file.  Beside it are `request.json` and `sent.json`, the pairs that `authorize`
and `post_auth` were given, and `reply.json`, what is put into the reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_radiusd: Any = import_module("radiusd")
_FOLDER = Path(_radiusd.config["yaml"]).parent

Lists = Mapping[str, Sequence[tuple[str, str]] | None]


def instantiate(_lists: object) -> int:
    return 0


def authorize(lists: Lists) -> tuple[int, dict[str, tuple[tuple[str, ...], ...]]]:
    (_FOLDER / "request.json").write_text(json.dumps(lists["request"]))
    reply = tuple(map(tuple, json.loads((_FOLDER / "reply.json").read_text())))
    return _radiusd.RLM_MODULE_UPDATED, {"reply": reply, "config": (("Auth-Type", ":=", "Accept"),)}


def authenticate(_lists: object) -> int:
    return 0


def post_auth(lists: Lists) -> int:
    (_FOLDER / "sent.json").write_text(json.dumps(lists["reply"]))
    return int(_radiusd.RLM_MODULE_NOOP)


def detach(_lists: object) -> int:
    return 0
