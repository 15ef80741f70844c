"""What a browser has sent in a form."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

_FORM = "application/x-www-form-urlencoded"
_MOST_OCTETS = 16_384
_MOST_FIELDS = 20


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields by name, the first of each.  Raises HTTPException: 413 too long, 415 no form, 400 neither."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415)
    octets = bytearray()
    try:
        async for piece in request.stream():
            octets += piece
            if len(octets) > _MOST_OCTETS:
                raise HTTPException(413)
    except ClientDisconnect:
        raise HTTPException(400) from None
    try:
        pairs = parse_qsl(
            octets.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise HTTPException(400) from None
    return dict(reversed(pairs))
