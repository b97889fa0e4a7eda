"""Checks every request to `pycharrnn serve` (host, token, size) and adds security headers to every response."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BYTES_OF_CHARACTER = 12  # at most, in a request: JSON may encode it as two escapes of six
MAX_OTHER_BODY = 1 << 16  # bytes of a request
MAX_UPLOAD = 1 << 32  # bytes of a file

_RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that refuses unauthorized and large requests and adds security headers to every response.

    Args:
        hosts: accepted names in the Host header (lower case, no port), or None for any. Refusing other names prevents
            DNS rebinding, in which a web page reaches this server under a name of its own.
        token: required as `Authorization: Bearer TOKEN`; "" for none. open_paths: paths that need no token.
        max_body: path -> bytes of a request, where they differ from MAX_OTHER_BODY. upload_paths: those that take files
            of up to MAX_UPLOAD.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str] | None,
        token: str,
        open_paths: frozenset[str],
        max_body: Mapping[str, int],
        upload_paths: frozenset[str],
    ) -> None:
        self.app, self.hosts, self.token, self.open_paths = app, hosts, token.encode(), open_paths
        self.upload_paths, self.max_body = upload_paths, {**max_body, **dict.fromkeys(upload_paths, MAX_UPLOAD)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        """The response that refuses a request, or None: 421 wrong host, 401 wrong token, 413 too large."""
        if self.hosts is not None and _host_name(headers.get("host", "")) not in self.hosts:
            return JSONResponse({"detail": _wrong_host(scope, headers.get("host", ""))}, 421)
        if self.token and scope["path"] not in self.open_paths:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), self.token):
                detail = "this token is wrong." if token else "this server needs a token."
                return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": 'Bearer realm="pycharrnn"'})
        limit = self.max_body.get(scope["path"], MAX_OTHER_BODY)
        if int(headers.get("content-length", 0)) > limit:
            too_large = f"the request is larger than {limit} bytes."
            if scope["path"] in self.upload_paths:  # the page says so too, before it sends a file
                too_large = f"a file has {limit:,} bytes at most; choose a smaller one."
            return JSONResponse({"detail": too_large}, 413)
        return None


def _wrong_host(scope: Scope, header: str) -> str:
    """Why a Host header is refused, and what to do."""
    address, port = scope.get("server") or ("localhost", None)
    url = f"http://{f'[{address}]' if ':' in address else address}{f':{port}' if port else ''}/"
    return (
        f"the Host header, {header[:100]!r}, does not name this machine: open {url}, or let a proxy send Host:"
        " localhost; to serve other machines, start with -host 0.0.0.0 -token new."
    )


def _host_name(header: str) -> str:
    """The name in a Host header, in lower case and without the port; "" for a malformed header.

    Example:
        >>> _host_name("[::1]:80"), _host_name("Localhost:8015"), _host_name("127.0.0.1:80:x")
        ('::1', 'localhost', '')
    """
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::\d*)?", header.lower())
    return (found[1] or found[2] or "") if found else ""
