"""Who may ask a server, how much, and with which headers it answers."""

from __future__ import annotations

import asyncio
import doctest

import httpx
import pytest
from serving_tools import LOOPBACK

from pycharrnn.server import security
from pycharrnn.server.api import MAX_BODY
from pycharrnn.server.security import MAX_OTHER_BODY, Guard

TOKEN = "0123456789abcdef"
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"behind"})


def ask(path: str, hosts=LOOPBACK, token: str = TOKEN, **headers: str) -> httpx.Response:
    """The answer of a guarded application, of which / alone needs no token."""
    guard = Guard(application, hosts, token, frozenset({"/"}), MAX_BODY, frozenset())

    async def request():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=guard), base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(request())


@pytest.mark.parametrize(
    "path, headers, status",
    [
        ("/", {}, 200),
        ("/", {"host": "elsewhere.example"}, 421),
        ("/api/models", {}, 401),
        ("/", {"content-length": str(MAX_OTHER_BODY + 1)}, 413),
        ("/api/models", {"authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_answers_and_refusals_have_the_same_headers(path, headers, status):
    answer = ask(path, **headers)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8015", "localhost:", "[::1]", "127.0.0.1:1"])
def test_a_name_may_be_written_in_any_way(host):
    assert ask("/", host=host).status_code == 200


def test_a_refused_name_is_told_the_address():
    assert ask("/", host="elsewhere.example").json()["detail"] == (
        "the Host header, 'elsewhere.example', does not name this machine: open http://localhost/, or let a proxy send"
        " Host: localhost; to serve other machines, start with -host 0.0.0.0 -token new."
    )
    for server, url in ((("::1", 8015), "http://[::1]:8015/"), (None, "http://localhost/")):
        assert f"open {url}, " in security._wrong_host({"server": server}, "")


def test_any_name_where_none_is_refused():
    assert ask("/", hosts=None, host="elsewhere.example").status_code == 200


@pytest.mark.parametrize(
    "value, status",
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"BEARER   {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}0", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_the_token_after_its_scheme(value, status):
    assert ask("/anything", authorization=value).status_code == status
    assert ask("/anything", token="", authorization=value).status_code == 200


@pytest.mark.parametrize(
    "path, most", [("/", 1 << 16), ("/api/sample", 1 << 16), ("/api/score", 1 << 18), ("/api/copied", 1 << 18)]
)
def test_the_largest_request_of_a_path(path, most):
    for length, status in ((most, 200), (most + 1, 413)):
        assert ask(path, token="", **{"content-length": str(length)}).status_code == status


def test_examples():
    failed, tried = doctest.testmod(security)
    assert failed == 0
    assert tried
