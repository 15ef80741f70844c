"""The two clients that none of us wrote."""

from __future__ import annotations

import pytest

from tests.end_to_end.nas import ForeignNas
from tests.end_to_end.site import Site


@pytest.fixture(params=["radclient", "pyrad"])
def foreign(request: pytest.FixtureRequest, university: Site) -> ForeignNas:
    """A NAS at the address of the client `vpn`."""
    return university.foreign(request.param)
