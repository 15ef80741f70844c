"""What became of what somebody wanted, in the words of the page where they wanted it."""

from __future__ import annotations

from markupsafe import Markup

from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context

_MISTYPED = frozenset({Result.WRONG, Result.CLOCK_WRONG, Result.USED, Result.UNREADABLE, Result.BLOCKED})


def problem_of(it: Context, page: str, result: Result) -> Markup:
    """Why not, and what to do: the page's own text, `page.result.…`, or that for all pages."""
    own = f"{page}.result.{result.value}"
    settings = it.house.settings
    return it.t(
        own if own in it.t else f"result.{result.value}",
        contact=settings.contact,
        password_url=settings.password_url or "",
    )


def status_of(result: Result) -> int:
    """As which a page says it: 422 where something was mistyped, 429 for too often, else 403."""
    if result in _MISTYPED:
        return 422
    return 429 if result is Result.TOO_MANY else 403
