"""What every request to `pycharrnn serve` passes: who may ask, how much, and what a browser may do with the answer."""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

# Bytes of a request. JSON may write a character as two escapes of six bytes: /api/score takes 20,000 characters, the
# others take some thousand.
MAX_BODY = {"/api/score": 1 << 18}
MAX_OTHER_BODY = 1 << 16

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware.

    Args:
        hosts: names the server may be called by, or None for any; refusing others keeps a web page elsewhere from
            reaching a server on this machine through a name of its own (DNS rebinding).
        token: what /api and /openapi.json ask for as `Authorization: Bearer TOKEN`; empty for nothing.
        open_paths: need no token.
    """

    def __init__(self, app, hosts: frozenset[str] | None, token: str, open_paths: frozenset[str]):
        self.app, self.hosts, self.token, self.open_paths = app, hosts, token.encode(), open_paths

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message.setdefault("headers", [])).update(_HEADERS)
            await send(message)

        await (self._refusal(scope, headers) or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope, headers: Headers) -> JSONResponse | None:
        if self.hosts is not None and _host(headers.get("host", "")) not in self.hosts:
            return JSONResponse({"detail": "this server answers to the name of its own machine only."}, 421)
        if self.token and scope["path"] not in self.open_paths:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self.token):
                return JSONResponse(
                    {"detail": "this server needs its token."}, 401, {"WWW-Authenticate": 'Bearer realm="pycharrnn"'}
                )
        most = MAX_BODY.get(scope["path"], MAX_OTHER_BODY)
        if int(headers.get("content-length", 0)) > most:
            return JSONResponse({"detail": f"the request is larger than {most} bytes."}, 413)
        return None


def _host(header: str) -> str:
    """The name in a Host header, without the port: [::1]:80 -> ::1. Empty for what is no such header."""
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::\d*)?", header.lower())
    return (found[1] or found[2] or "") if found else ""
