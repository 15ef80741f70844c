"""What can be broken.

A refusal (wrong password, unknown user, spent State) is a value, never an exception.  These
exceptions mean that something failed; only `core.conversation` turns one into a decision, and
never into an Access-Accept.

    RadiusMfaError
    ├── BackendError            something we asked did not answer as it must
    │   ├── DirectoryError
    │   └── StoreError
    ├── ConfigurationError      what an administrator wrote cannot be used
    ├── KeyFileError            the key file is missing, unreadable, open to others, or not the store's
    └── BackupError             a backup cannot be made, or does not open, or there is no room for what is in it
"""


class RadiusMfaError(Exception):
    """The root of every exception this project raises on purpose; `str()` is one clear line, no secret in it."""


class BackendError(RadiusMfaError):
    """A directory or the store failed or was too late."""


class DirectoryError(BackendError):
    """No directory server gave an answer that can be trusted."""


class StoreError(BackendError):
    """The store could not be read or written."""


class ConfigurationError(RadiusMfaError):
    """The configuration is wrong; `problems` has one line for each thing to mend."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class KeyFileError(RadiusMfaError):
    """The key file cannot be used as it is."""


class BackupError(RadiusMfaError):
    """A backup cannot be made, opened or restored."""


def place_of(broken: BaseException) -> str:
    """Where an exception was raised, `FILE:LINE`: all that can be told of it, for its text may quote anything."""
    at = broken.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "an unknown place"
