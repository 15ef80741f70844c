"""To be written."""

from __future__ import annotations

from radius_mfa.portal.guarded import Route

ROUTES: tuple[Route, ...] = ()
