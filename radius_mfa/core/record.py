"""Records: what is made once and then only read.

For the type checker a `record` is a frozen dataclass, and nothing of ours assigns to one.  At run time it is not
frozen: a login makes some fifty of them, and whatever is frozen takes six times as long to be made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["once", "record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from functools import cached_property as once
else:
    from dataclasses import dataclass

    def record(*, frozen, slots):
        """A dataclass that is compared and hashed by its fields."""
        assert frozen  # as the type checker has been told
        return dataclass(slots=slots, unsafe_hash=True)

    class _Once:
        """A property that is worked out once, of a record without slots.

        That of the standard library takes a lock for it, which costs more than most of what is worked out.
        """

        def __init__(self, work):
            self._work = work
            self._name = work.__name__

        def __get__(self, instance, owner):
            # From now on it is found in the instance itself.
            found = instance.__dict__[self._name] = self._work(instance)
            return found

    once = _Once
