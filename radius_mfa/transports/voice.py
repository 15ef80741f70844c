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
            line = f"{now} [{level:<9}] {event:<30} " + " ".join(f"{key}={value}" for key, value in fields.items())
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except OSError:  # nobody reads the log: no reason to end
            return
