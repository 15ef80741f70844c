"""The supervisor's lines of the log, in the form that those of the others have."""

from __future__ import annotations

import json
import os
import select
from datetime import UTC, datetime

_PIECE = select.PIPE_BUF  # for which there is room where there is any (pipe(7))


class Voice:
    """`form`: json or console.  `fd`: where to; the log is stderr."""

    def __init__(self, form: str, fd: int = 2) -> None:
        self.form = form
        self._fd = fd

    def say(self, level: str, event: str, **fields: object) -> None:
        """One line."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if self.form == "json":
            line = json.dumps({"event": event, **fields, "level": level, "timestamp": now})
        else:
            said = " ".join(f"{key}={_shown(value)}" for key, value in sorted(fields.items()))
            line = f"{now} [{level:<9}] {event:<30} {said}".rstrip()
        octets = f"{line}\n".encode(errors="replace")
        try:
            # As long as nobody is waited for: a log that is not read is no reason to stand still, or to end.
            while octets and select.select((), (self._fd,), (), 0)[1]:
                octets = octets[os.write(self._fd, octets[:_PIECE]) :]
        except (OSError, ValueError):
            return


def _shown(value: object) -> str:
    """A word as it is; whatever else in quotes, so that it is one line and one value."""
    is_word = isinstance(value, str) and value.isprintable() and not set(value) & set(" ='\"")
    return str(value) if is_word else repr(value)
