"""Lists that clients ask for again and again: one that has not changed is not sent again."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import Header, Response

IfNoneMatch = Annotated[str | None, Header(description="the ETag of an earlier response")]
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The list has not changed since this ETag"}}


def tagged(content: bytes, if_none_match: str | None) -> Response:
    """The response of a JSON list with an ETag, or status 304 if the client has it already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag}
    if _is_among(tag, if_none_match or ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def _is_among(tag: str, if_none_match: str) -> bool:
    """Whether the header names the tag. A proxy that compresses makes a tag weak, `W/"..."` (RFC 9110, 13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in tags or tags == ["*"]
