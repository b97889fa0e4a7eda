"""The page's JavaScript modules in a browser, each by itself, from a small server on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import payload
from pycharrnn.page import facts
from pycharrnn.page.page_files import page_files
from pycharrnn.sampling import sampler
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

# What the page would do with its source; `log` has the messages that come from the worker.
OPENED = """
    const { FileSource } = await import("./file_source.js");
    const log = [];
    const makeWorker = () => {
      const worker = new Worker("worker.js", { type: "module" });
      worker.addEventListener("message", ({ data }) => log.push(data));
      return worker;
    };
    const source = new FileSource(payloads, makeWorker);
    const whole = async (request, signal = new AbortController().signal) => {
      const items = [];
      for await (const some of source.sample(request, signal)) items.push(...some);
      return items;
    };
"""


def of_weights(model: str, vocab: list[bytes], units: int, weight) -> Checkpoint:
    """A model of one layer whose weights are what weight(shape) gives."""
    weights = {name: weight(shape) for name, shape in parameter_shapes(model, len(vocab), units, 1).items()}
    network = Network(model, units, 1, len(vocab), 0.0, weights)
    return Checkpoint(network, {character: k for k, character in enumerate(vocab, 1)})


def payload_of(loaded: Checkpoint, name: str, half: bool = False) -> dict:
    """A model as a page holds it."""
    shown = {"facts": facts.facts_of(loaded, name, 0), "losses": facts.losses_of(loaded)}
    return {**payload.encode(loaded, name, half), **{key: dataclasses.asdict(of) for key, of in shown.items()}}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        content = self.server.contents.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", "text/javascript" if self.path.endswith(".js") else "text/html")
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def static_server(contents: dict[str, bytes]) -> Iterator[ThreadingHTTPServer]:
    """Serves contents by path. Its `requested` are the paths of all requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.contents, server.requested = contents, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def modules(browser, payloads: list[dict]) -> Iterator[None]:
    """Opens a page on which `script` can import the modules; payloads.json there are the models."""
    contents = {"/": b"<!DOCTYPE html><title>modules</title>", "/payloads.json": json.dumps(payloads).encode()}
    contents |= {f"/{name}": content for name, content in page_files(studio=True).items()}
    with static_server(contents) as server:
        browser.get(f"http://127.0.0.1:{server.server_port}/")
        yield
        browser.get("about:blank")


def script(browser, code: str, *args: object) -> object:
    """The result of an async function with this body; its arguments are `args`, and `payloads` is payloads.json."""
    found = browser.execute_async_script(
        """
        const [code, args, done] = arguments;
        const AsyncFunction = (async () => {}).constructor;
        const answer = async () => {
          window.payloads ??= await (await fetch("payloads.json")).json();
          return new AsyncFunction("args", code)(args);
        };
        answer().then((value) => done({ value }), (error) => done({ error: `${error.name}: ${error.message}` }));
        """,
        code,
        list(args),
    )
    assert "error" not in found, found["error"]
    return found["value"]


def sampled(browser, model: int, loaded: Checkpoint, requests: list[dict]) -> list[bytes]:
    """The texts that the page samples from a model, an index into payloads.json, for some requests."""
    code = """
        const { Network, prepare } = await import("./network.js");
        const { sample } = await import("./sampler.js");
        const { Vocabulary } = await import("./vocabulary.js");
        const [model, requests] = args;
        const prepared = await prepare(payloads[model]);
        const vocabulary = new Vocabulary(payloads[model].vocab);
        return requests.map(({ primetext, ...request }) => {
          const prime = vocabulary.tokenize(new TextEncoder().encode(primetext));
          const probs = new Float64Array(vocabulary.size);
          const ids = Array.from(prime, ({ id }) => id);
          return Array.from(sample(new Network(prepared), probs, ids, request), ({ id }) => id);
        });
    """
    characters = characters_by_id(loaded.vocab)
    return [b"".join(characters[k] for k in ids) for ids in script(browser, code, model, requests)]


def request_of(args: list[str], length: int) -> dict:
    """Flags of `pycharrnn sample`, as a recorded run has them, as a request for a text of another length."""
    flags = dict(zip(args[::2], args[1::2], strict=True))
    return {
        "primetext": flags.get("-primetext", ""),
        "length": length,
        "temperature": float(flags.get("-temperature", 1)),
        "topk": 1 if flags.get("-sample") == "0" else 0,  # the likeliest character at each timestep
        "topp": 1,
        "seed": int(flags.get("-seed", 123)),
    }


def sampled_here(loaded: Checkpoint, request: dict) -> bytes:
    """The text that `pycharrnn sample` prints for a request."""
    primetext = request["primetext"].encode()
    opt = SampleOptions(**{name: value for name, value in request.items() if name != "primetext"})
    return b"".join(
        one.character for one in sampler.sample(NumpyPredictor(loaded.network), loaded.vocab, opt, primetext)
    )
