"""Requests to the API of pycharrnn serve without a socket."""

from __future__ import annotations

import asyncio
import json

import httpx
from serving_tools import LSTM

JSON = {"content-type": "application/json"}
TAKEN = "all places are taken: try again in a moment."


class Client:
    """Asks an application directly, without a socket."""

    def __init__(self, app, base_url: str = "http://127.0.0.1"):
        self.app, self.base_url = app, base_url

    def request(self, method: str, path: str, **keywords) -> httpx.Response:
        async def ask():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, **keywords)

        return asyncio.run(ask())

    def get(self, path: str, **keywords) -> httpx.Response:
        return self.request("GET", path, **keywords)

    def post(self, path: str, **keywords) -> httpx.Response:
        return self.request("POST", path, **keywords)


def sample(client, **body) -> list[dict]:
    answer = client.post("/api/sample", json={"model": LSTM.stem, **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "content-length" not in answer.headers
    return [json.loads(line) for line in answer.text.splitlines()]
