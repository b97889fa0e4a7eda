"""Clients of pycharrnn serve that are silent, slow, malformed or many: what they may hold up."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import start
from serving_tools import LOOPBACK, LSTM, server, server_in_thread, until
from uvicorn.protocols.http.h11_impl import H11Protocol

from pycharrnn.common.errors import UserError
from pycharrnn.page.page_files import page_files
from pycharrnn.server import connections
from pycharrnn.server.app import create_app
from pycharrnn.server.connections import Connection, OpenConnections, TimeLimits
from pycharrnn.server.json_lines import LineWriter
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler

HOST = b"Host: 127.0.0.1\r\n"
HEAD = b"POST /api/sample HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


def post(path: str, **body) -> bytes:
    content = json.dumps({"model": LSTM.stem, **body}).encode()
    head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + HOST + b"\r\n" + content


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether a connection was closed")

PAGE = b"GET /page.js HTTP/1.1\r\n" + HOST + b"\r\n"
LONG = post("/api/sample", length=10_000, candidates=20)  # megabytes, if one were to read them
SIEGES = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\n" + HOST + b"X-a: ",
    "half a body": HEAD + b"Content-Length: 100\r\n\r\n{",
    "waiting for 100 Continue": HEAD + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
    "beginning of TLS": b"\x16\x03\x01\x02",
    "unread sample": LONG,
    "unread pages": 60 * PAGE,
    "thousands of fields": post("/api/score", **{str(k): k for k in range(15_000)}),
    "thousands of headers": b"GET / HTTP/1.1\r\n" + HOST + 60_000 * b"a:\r\n" + b"\r\n",
}


@pytest.fixture(scope="module")
def models():
    return Registry([str(LSTM)], print, print)


@pytest.fixture
def serve(models):
    """serve(most=..., max_clients=..., **limits) -> the port of a server in a thread."""
    with contextlib.ExitStack() as stack:

        def start(most: int = 100, max_clients: int = 8, **limits: float) -> int:
            scheduler = Scheduler(max_clients, threads=2)
            app = create_app(models, scheduler, LOOPBACK, "")
            return stack.enter_context(server_in_thread(app, scheduler, OpenConnections(most, TimeLimits(**limits))))

        yield start


def connect(port: int, first: bytes = b"") -> socket.socket:
    s = socket.create_connection(("127.0.0.1", port), timeout=300)
    with contextlib.suppress(OSError):  # the server may have heard enough
        s.sendall(first)
    return s


def answer(port: int, content: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    with connect(port, content) as s:
        return b"".join(iter(lambda: s.recv(1 << 16), b""))


def statuses(answers: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


def sample(port: int, length: int = 200) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as c:
        body = json.dumps({"model": LSTM.stem, "length": length})
        c.request("POST", "/api/sample", body, {"Content-Type": "application/json"})
        got = c.getresponse()
        return got.status, got.read()


def gets_a_sample(port: int) -> bool:
    """Whether a client gets one. Where limits are short, a busy machine may let a few attempts run out of time."""
    for _ in range(20):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if sample(port)[0] == 200:
                return True
    return False


def port_of(url: str) -> int:
    return int(re.search(r":(\d+)/", url)[1])


def is_closed(s: socket.socket) -> bool:
    """Whether the server has closed this connection; reads nothing of an answer that waits on it."""
    poll = select.poll()
    poll.register(s, select.POLLRDHUP)
    return bool(poll.poll(0))


def until_closed(s: socket.socket, drip: bytes = b"") -> None:
    def closed() -> bool:
        with contextlib.suppress(OSError):
            s.send(drip)
        return is_closed(s)

    until(closed)


# -- many ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running():
    with server(LSTM) as one:
        yield one


# 250 samples at once take half a minute.
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k == "unread sample" else k for k in SIEGES]
)
def test_a_client_gets_its_sample_beside_250_others(running, kind):
    port = port_of(running.url)
    with contextlib.ExitStack() as stack:
        for _ in range(250):
            stack.enter_context(connect(port, SIEGES[kind]))
        status, body = sample(port)
        assert status == 200
        assert body.endswith(b'{"done":true}\n')


def test_nothing_that_is_sent_waits_for_what_was_sent_before(serve, monkeypatch):
    """As the system would have it, until the client acknowledges that: TCP_NODELAY."""
    found, add = [], OpenConnections.add

    def look(self, connection):
        accepted = connection.transport.get_extra_info("socket")
        found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        add(self, connection)

    monkeypatch.setattr(OpenConnections, "add", look)
    assert sample(serve())[0] == 200
    assert len(found) == 1 and found[0]


def test_what_nobody_reads_is_not_drawn(serve, monkeypatch):
    """An answer waits with what fits into the buffers, and holds up nobody meanwhile."""
    drawn, write = [0], LineWriter.lines

    def counted(self, characters):
        drawn[0] += len(characters.token_ids)
        return write(self, characters)

    monkeypatch.setattr(LineWriter, "lines", counted)
    port = serve()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        s.connect(("127.0.0.1", port))
        s.sendall(LONG)
        assert s.recv(1)
        before = -1
        while before != drawn[0]:
            before = drawn[0]
            time.sleep(0.3)
        assert 0 < before < 5000
        assert sample(port)[0] == 200
        assert drawn[0] == before + 200


def test_one_connection_too_many_costs_the_longest_silent_one_its_place(serve):
    port = serve(most=20)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(20)]
        assert sample(port)[0] == 200
        until_closed(silent[0])
        assert not any(map(is_closed, silent[1:]))
        stack.enter_context(connect(port))  # in the place that the sample's has left
        assert sample(port)[0] == 200
        until_closed(silent[1])
        assert not any(map(is_closed, silent[2:]))


def test_who_reads_nothing_keeps_the_server_waiting_too(serve, monkeypatch):
    is_full, pause = threading.Event(), Connection.pause_writing

    def paused(self):
        pause(self)
        is_full.set()

    monkeypatch.setattr(Connection, "pause_writing", paused)
    port = serve(most=10, reading=1e6, answer=1e6)
    with contextlib.ExitStack() as stack:
        unread = stack.enter_context(connect(port, LONG))
        assert is_full.wait(300)
        for _ in range(9):
            stack.enter_context(connect(port))
        assert sample(port)[0] == 200
        until_closed(unread)


def test_where_all_places_are_taken_a_client_is_asked_to_come_back(serve):
    port = serve(max_clients=3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            select.select([stack.enter_context(connect(port, LONG))], [], [])
        status, body = sample(port)
        assert (status, json.loads(body)) == (503, {"detail": "all places are taken: try again in a moment."})
        assert statuses(answer(port, PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == [200]
    until(lambda: sample(port)[0] == 200)  # once the server has noticed that they are gone


def test_few_open_files_are_enough():
    """A program that may open few files keeps few connections, and accepts no more than it may open."""
    limit = 200
    resource = pytest.importorskip("resource", reason="this system has no limit of open files")

    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    with server(LSTM, preexec_fn=few_files) as running, contextlib.ExitStack() as stack:
        port = port_of(running.url)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as c:
            c.request("GET", "/api/models")
            assert 1 < json.loads(c.getresponse().read())["limits"]["streams"] < limit / 2  # others need some too
        for kind in ("silent", "unread sample"):
            for _ in range(300):
                stack.enter_context(connect(port, SIEGES[kind]))
        assert len(os.listdir(f"/proc/{running.process.pid}/fd")) < limit
        running.process.send_signal(signal.SIGINT)
        assert running.process.communicate(timeout=300)[1].strip() == "pycharrnn: stopped by Ctrl-C."


def test_the_limit_of_open_files(monkeypatch):
    resource = pytest.importorskip("resource", reason="this system has no limit of open files")
    now = [256, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: now.__setitem__(slice(2), limits))
    assert connections.connections_allowed(100) == 100
    assert now == [256, 4096]
    assert connections.connections_allowed(1000) == 1000
    assert 1000 < now[0] < 1200
    assert 3900 < connections.connections_allowed(10_000) < 4096
    now[:] = 100, 100
    with pytest.raises(UserError, match="100 open files is too low"):
        connections.connections_allowed(1000)
    now[:] = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    assert connections.connections_allowed(1000) == 1000


class Silent:
    """A connection whose client sends nothing, and which takes a while to close."""

    dropped = 0

    def drop(self):
        self.dropped += 1


def test_each_connection_beyond_the_limit_closes_another_one():
    """Also where several are accepted before the first is closed."""
    kept, silent = connections.OpenConnections(2), [Silent() for _ in range(5)]
    for one in silent:
        kept.add(one)
    assert [one.dropped for one in silent] == [1, 1, 1, 0, 0]


# -- slow ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drip", [b"", b"x"])
@pytest.mark.parametrize("kind", list(SIEGES)[:5])
def test_a_request_has_its_time(serve, kind, drip):
    port = serve(request=0.3)
    with connect(port, SIEGES[kind]) as s:
        until_closed(s, drip)
    assert gets_a_sample(port)


def test_the_next_request_has_its_time(serve):
    """A byte now and then is no sign of life."""
    port = serve(request=0.3)
    with connect(port, PAGE) as s:
        select.select([s], [], [])
        until_closed(s, b"G")


def test_a_body_that_is_refused_unread_has_its_time(serve):
    port = serve(request=1)
    with connect(port, HEAD + b"Content-Length: 1000000\r\n\r\n") as s:
        assert statuses(s.recv(1 << 16)) == [413]
        until_closed(s, b"x")


def test_a_reader_has_its_time(serve):
    port = serve(reading=0.3)
    with connect(port, LONG) as s:
        until_closed(s)
    with connect(port, 60 * PAGE) as s:
        until_closed(s)
    assert gets_a_sample(port)


def test_an_answer_has_its_time(serve):
    """However steadily it is read."""
    port = serve(answer=3)
    with connect(port, LONG) as s:
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := s.recv(1 << 16):
                got += piece
                time.sleep(0.3)  # so that the server has to pause, but never for long
    assert statuses(got) == [200]
    assert b'{"done":true}' not in got
    assert gets_a_sample(port)


def test_limits_end_with_what_they_are_for(serve):
    """A connection that lives longer than each limit, and is used."""
    port = serve(request=5, reading=5, answer=5)

    def lives() -> bool:
        addresses = set()
        with (
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as c,
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            for _ in range(8):
                c.request("GET", "/page.js", headers={"Connection": "keep-alive"})
                assert c.getresponse().read()
                addresses.add(c.sock.getsockname())
                time.sleep(0.7)
            return len(addresses) == 1
        return False

    assert any(lives() for _ in range(10))  # on a busy machine, more than a limit may pass between two requests


# -- malformed -------------------------------------------------------------------------------------------------------

MALFORMED = {
    "in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n",
    "in chunks, with a length": HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "in chunks, of old": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    "a length with a sign": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "two hosts": b"GET /api/models HTTP/1.1\r\nHost: evil.example\r\n" + HOST + b"\r\n",
    "no host": b"GET /api/models HTTP/1.1\r\n\r\n",
    "a large head": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + 2 * connections.MAX_HEAD * b"x" + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + connections.MAX_HEAD * b"a:\r\n" + b"\r\n",
    "a long first line": b"GET /" + 2 * connections.MAX_HEAD * b"x" + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_request_is_refused_once(running, kind):
    with contextlib.suppress(ConnectionResetError):  # what was not read any more may cost the answer
        head, _, body = answer(port_of(running.url), MALFORMED[kind] + PAGE).partition(b"\r\n\r\n")
        assert statuses(head + body) == [421 if kind == "HTTP/2" else 400]
        assert b"application/json" in head
        assert set(json.loads(body)) == {"detail"}
    assert sample(port_of(running.url))[0] == 200


def test_a_body_in_chunks_is_told_why(running):
    assert b"Content-Length" in answer(port_of(running.url), MALFORMED["in chunks"])


def test_requests_that_do_not_wait_for_an_answer_get_one(running):
    """Those that came with it would otherwise be answered before anybody else's."""
    assert statuses(answer(port_of(running.url), 5 * PAGE)) == [200]


def test_one_request_after_the_other_is_answered(running):
    with connect(port_of(running.url)) as s:
        for _ in range(3):
            s.sendall(PAGE)
            got = b""
            while not got.endswith(page_files()["page.js"]):
                got += s.recv(1 << 16)
            assert statuses(got) == [200]


@pytest.mark.parametrize(
    "line, status",
    [
        ("HEAD /page.js", 200),
        ("HEAD /api/models", 200),
        ("OPTIONS /api/sample", 405),
        ("OPTIONS *", 404),
        ("TRACE /", 405),
        ("CONNECT 127.0.0.1:80", 404),
        ("GET http://evil.example/api/models", 404),
        ("GET /api/models/", 404),
        ("GET /page.js%00", 404),
        ("BREW /", 405),
    ],
)
def test_other_methods_and_targets(running, line, status):
    got = answer(port_of(running.url), f"{line} HTTP/1.1\r\nConnection: close\r\n".encode() + HOST + b"\r\n")
    assert statuses(got) == [status]
    assert b"location" not in got.lower()
    assert (got.partition(b"\r\n\r\n")[2] == b"") == line.startswith("HEAD")


@pytest.mark.parametrize("length, first", [(2, 100), (1_000_000, 413)])
def test_a_body_is_asked_for_only_where_it_will_be_read(running, length, first):
    with connect(port_of(running.url), HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length) as s:
        assert statuses(s.recv(1 << 16)) == [first]


# -- stopping and starting -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name, often", [("SIGINT", False), ("SIGTERM", False), ("SIGHUP", False), ("SIGINT", True)])
def test_signals_end_a_server_with_all_it_has(name, often):
    """One of them, or as many as somebody impatient likes."""
    number = getattr(signal, name)
    with server(LSTM) as running, contextlib.ExitStack() as stack:
        for kind in SIEGES:
            for _ in range(10):
                stack.enter_context(connect(port_of(running.url), SIEGES[kind]))
        running.process.send_signal(number)
        while often and running.process.poll() is None:
            running.process.send_signal(number)
            time.sleep(0.01)
        _, error = running.process.communicate(timeout=300)
    said = f"pycharrnn: stopped by {name.replace('SIGINT', 'Ctrl-C')}."
    if often:  # then the last one may come amid the sentence, or when Python hears no more
        assert running.process.returncode in (128 + number, -number)
        assert said.startswith(error.strip())
    else:
        assert running.process.returncode == 128 + number
        assert error.strip() == said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_event_loop_is_made(name):
    """Once the address is printed, connections are accepted; uvicorn hears signals only later."""
    code = (
        "import signal, socket\n"
        "from pycharrnn.cli import commands\n"
        "make_pair = socket.socketpair\n"
        "def make(*arguments):\n"
        f"    signal.raise_signal(signal.{name})\n"
        "    return make_pair(*arguments)\n"
        "socket.socketpair = make\n"
        f"commands.main(['serve', {str(LSTM)!r}, '-port', '0'])"
    )
    serve = start("-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    printed, said = serve.communicate(timeout=300)
    assert printed.endswith("Press Ctrl-C to stop.\n")
    assert said.strip() == f"pycharrnn: stopped by {name.replace('SIGINT', 'Ctrl-C')}."
    assert serve.returncode == 128 + getattr(signal, name)


def test_signals_that_the_caller_ignores_stay_ignored():
    """A script ignores Ctrl-C for its background jobs, nohup ignores SIGHUP."""
    ignored = (signal.SIGINT, signal.SIGHUP)
    with server(LSTM, preexec_fn=lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored]) as running:
        assert sample(port_of(running.url))[0] == 200  # from now on the server handles signals
        for number in ignored:
            running.process.send_signal(number)
            time.sleep(0.5)
            assert sample(port_of(running.url))[0] == 200
        running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=300)
    assert running.process.returncode == 143


@pytest.mark.parametrize("where", ["a closed pipe", "a full disk"])
def test_an_address_that_cannot_be_printed(where):
    if where == "a full disk" and not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    reading, writing = os.pipe()
    os.close(reading)
    out = writing if where == "a closed pipe" else os.open("/dev/full", os.O_WRONLY)
    serve = start("serve", str(LSTM), "-port", "0", stdout=out, stderr=subprocess.PIPE, text=True)
    _, said = serve.communicate(timeout=300)
    for number in {writing, out}:
        os.close(number)
    assert serve.returncode == 1
    assert re.fullmatch(r"pycharrnn: can't print the server's address \(.+\): .+\n", said)


def test_a_token_stays_out_of_what_is_printed():
    token = "0123456789abcdef"
    with server(LSTM, "-token", token) as running:
        port = port_of(running.url)
        for content in (*SIEGES.values(), *MALFORMED.values(), PAGE):
            first, _, rest = content.partition(b"\r\n")
            with connect(port, first + b"\r\nAuthorization: Bearer " + token.encode() + b"\r\n" + rest) as s:
                select.select([s], [], [], 0.1)
        running.process.send_signal(signal.SIGINT)
        out, error = running.process.communicate(timeout=300)
    assert token not in out + error


def test_uvicorn_calls_what_is_overridden():
    """The name of each public method is one of uvicorn's; that they still do their work, the tests above show."""
    own = {name for name, value in vars(Connection).items() if callable(value) and not name.startswith("_")} - {"drop"}
    assert own
    assert own <= set(dir(H11Protocol))
