"""What Python's collector of reference cycles has to look at while logins are answered."""

from __future__ import annotations

import gc

# Objects made and not yet freed before it looks at the young ones.  Logins leave hardly any cycles: what they use
# is freed when it is used no more, and to look through it every 700 objects costs a tenth of a login.
_YOUNG = 20_000


def spare_the_collector() -> None:
    """Leave out all that is there by now, which stays: modules, the configuration, what was made of it.

    What has become garbage since the last time, of a configuration that was replaced, goes first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
