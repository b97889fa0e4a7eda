"""What every request to `pycharrnn serve` passes: who may ask, how much, and what a browser may do with the answer."""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Limits in bytes. JSON may write one character as two escapes of six bytes each: /api/score takes 20,000 characters,
# the other paths take a few thousand.
MAX_BODY = {"/api/score": 1 << 18}
MAX_OTHER_BODY = 1 << 16

_RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that refuses requests of strangers and large ones, and adds security headers to every answer.

    Args:
        app: the application behind it.
        hosts: the names by which the server may be called (lower case, without port), or None for any name. Refusing
            other names keeps a web page elsewhere from reaching a server on this machine through a name of its own
            (DNS rebinding).
        token: what a request must carry as `Authorization: Bearer TOKEN`; empty if it need not.
        open_paths: the paths that need no token.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, token: str, open_paths: frozenset[str]) -> None:
        self.app, self.hosts, self.token, self.open_paths = app, hosts, token.encode(), open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it: with a refusal, or with what the application says."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message.setdefault("headers", [])).update(_RESPONSE_HEADERS)
            await send(message)

        await (self._refusal(scope, headers) or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """The answer to a request that goes no further, or None: 421 wrong name, 401 wrong token, 413 too large."""
        if self.hosts is not None and _host_name(headers.get("host", "")) not in self.hosts:
            return JSONResponse({"detail": "this server answers to the name of its own machine only."}, 421)
        if self.token and scope["path"] not in self.open_paths:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), self.token):
                detail = "this is not the server's token." if token else "this server needs its token."
                return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": 'Bearer realm="pycharrnn"'})
        most = MAX_BODY.get(scope["path"], MAX_OTHER_BODY)
        if int(headers.get("content-length", 0)) > most:
            return JSONResponse({"detail": f"the request is larger than {most} bytes."}, 413)
        return None


def _host_name(header: str) -> str:
    """The name in a Host header, in lower case and without the port; empty where the header has another form.

    Example:
        >>> _host_name("[::1]:80"), _host_name("Localhost:8015"), _host_name("127.0.0.1:80:x")
        ('::1', 'localhost', '')
    """
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::\d*)?", header.lower())
    return (found[1] or found[2] or "") if found else ""
