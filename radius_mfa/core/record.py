"""Records: what is made once and then only read.

For the type checker a `record` is a frozen dataclass, and nothing of ours assigns to one.  At run time it is not
frozen: a login makes some fifty of them, and whatever is frozen takes six times as long to be made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen, slots):
        """A dataclass that is compared and hashed by its fields."""
        assert frozen  # as the type checker has been told
        return dataclass(slots=slots, unsafe_hash=True)
