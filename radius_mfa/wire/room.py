"""How much of something there may be at once, and how much of that may be one's."""

from __future__ import annotations


class Room:
    """Room for `most`.

    `shared`: several have it together, such as the addresses of a client.  Then none of them gets more than
    half, so that one that is broken, or made up by a stranger, leaves something to the others.
    """

    def __init__(self, most: int, *, shared: bool) -> None:
        self._most = most
        self._shared = shared
        self._most_of_one = max(most // 2, 1) if shared else most
        self._of: dict[str, int] = {}  # where it is shared: who has it alone, has what is taken
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def is_left(self, whose: str, share: float = 1.0) -> bool:
        """Whether there is room for one more of theirs, where only a share of it may be used."""
        return self._taken < self._most * share and self._of.get(whose, 0) < self._most_of_one * share

    def takes(self, whose: str, share: float = 1.0) -> bool:
        """Take room for one more of theirs, where there is: whether there was."""
        if self._taken >= self._most * share:
            return False
        if self._shared:
            has = self._of.get(whose, 0)
            if has >= self._most_of_one * share:
                return False
            self._of[whose] = has + 1
        self._taken += 1
        return True

    def take(self, whose: str) -> None:
        """Take room whether there is or not."""
        self._taken += 1
        if self._shared:
            self._of[whose] = self._of.get(whose, 0) + 1

    def give_back(self, whose: str) -> None:
        self._taken -= 1
        if not self._shared:
            return
        left = self._of[whose] - 1
        if left:
            self._of[whose] = left
        else:
            del self._of[whose]  # whoever has gone takes no room
