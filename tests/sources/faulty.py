"""An S3 server that fails as real ones do: moto behind a proxy that answers 500, breaks off, and takes its time.

A write that breaks off was done; only the answer is lost.
"""

import http.client
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_SECONDS = 1.0
WRITES = ("PUT", "POST", "DELETE")


@dataclass
class Faulty:
    """A proxy in front of an S3 server, and what it has done."""

    port: int
    fault: Callable[[int], str] = lambda number: ""
    """Number of a request, from 1 → `500`, `break` in the middle of the body, `slow`, or nothing."""
    writes: int | None = None
    """How many writes more are done before every request fails; without an end if None."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each."""
    faults: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    """The most requests that were under way together."""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, method: str, path: str) -> str:
        with self._lock:
            self.requests.append((method, path))
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            fault = self.fault(len(self.requests))
            if self.writes is not None:
                fault = "500" if self.writes <= 0 else fault
                self.writes -= method in WRITES
            self.faults[fault] += 1
            return fault

    def end(self) -> None:
        with self._lock:
            self._now -= 1


@contextmanager
def faulty_s3() -> Iterator[tuple[str, Faulty]]:
    """The URL of the proxy, and its plan; both servers end with it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    plan = Faulty(moto.get_host_and_port()[1])
    forget = http.client.HTTPConnection("127.0.0.1", plan.port)
    forget.request("POST", "/moto-api/reset")  # what earlier servers of this process had
    forget.getresponse().read()
    forget.close()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(plan))
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}", plan
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
        moto.stop()


def _handler(plan: Faulty) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fault = plan.begin(self.command, self.path)
            try:
                self._answer(fault)
            finally:
                plan.end()

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

        def _answer(self, fault: str) -> None:
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if fault != "500" or self.command not in WRITES:
                upstream = http.client.HTTPConnection("127.0.0.1", plan.port)
                upstream.request(self.command, self.path, body=sent, headers=dict(self.headers))
                found = upstream.getresponse()
                body = found.read()
                upstream.close()
            if fault == "break" and self.command in WRITES:
                self.close_connection = True
                return
            if fault == "500":
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(found.status)
            for name, value in found.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "server", "date", "content-length"):
                    self.send_header(name, value)
            length = found.getheader("Content-Length") if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "break" else body)
            if fault == "break":
                self.wfile.flush()
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing: the plan keeps what was asked."""

    return Handler
