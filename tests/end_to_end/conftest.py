"""The clients that none of us wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.nas import ForeignNas
from tests.end_to_end.portal_site import PortalSite, portal_site
from tests.end_to_end.site import Site
from tests.peers.chromium import Chromium


@pytest.fixture(params=["radclient", "pyrad"])
def foreign(request: pytest.FixtureRequest, university: Site) -> ForeignNas:
    """A NAS at the address of the client `vpn`."""
    return university.foreign(request.param)


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalSite]:
    """The server and the portal; a first factor is set up with a voucher, there is no campus."""
    with portal_site(tmp_path_factory.mktemp("portal")) as it:
        yield it


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests of a process, started when the first needs it."""
    with Chromium() as browser:
        yield browser
