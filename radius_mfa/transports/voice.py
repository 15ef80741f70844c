"""The supervisor's lines of the log, in the form that those of the others have."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


class Voice:
    """`form`: json or console."""

    def __init__(self, form: str) -> None:
        self.form = form

    def say(self, level: str, event: str, **fields: object) -> None:
        """One line."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if self.form == "json":
            line = json.dumps({"event": event, **fields, "level": level, "timestamp": now})
        else:
            said = " ".join(f"{key}={_shown(value)}" for key, value in sorted(fields.items()))
            line = f"{now} [{level:<9}] {event:<30} {said}".rstrip()
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except OSError:  # nobody reads the log: no reason to end
            return


def _shown(value: object) -> str:
    """A word as it is; whatever else in quotes, so that it is one line and one value."""
    is_word = isinstance(value, str) and value.isprintable() and not set(value) & set(" ='\"")
    return str(value) if is_word else repr(value)
