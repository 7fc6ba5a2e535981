"""A hub for tests of faults: answers by script over HTTP or TLS, on a thread.

    with FakeHub() as hub:
        hub.answer("/api/v1/servers", {"items": []})
        ... hub.url, hub.requests ...

An answer is an object (sent as JSON with status 200), a Reply, or a function
of the handler that does what it likes with the connection."""

import http.server
import json
import ssl
import threading
import urllib.parse


class Reply:
    def __init__(self, body, status=200, headers=None, delay=0.0):
        self.body = body if isinstance(body, bytes) else \
            json.dumps(body).encode()
        self.status, self.delay = status, delay
        self.headers = headers or {"Content-Type": "application/json"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        hub = self.server.hub
        hub.requests.append((self.path, dict(self.headers)))
        path = urllib.parse.urlsplit(self.path).path
        answer = hub.answers.get(self.path, hub.answers.get(path))
        if answer is None:
            answer = problem(404, "not-found", "No such path", path)
        if callable(answer):
            self.close_connection = True
            answer(self)
            return
        self.reply(answer if isinstance(answer, Reply) else Reply(answer))

    def reply(self, reply):
        self.server.hub.stopping.wait(reply.delay)
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that hang up, or do not trust us, are what we are for."""


class FakeHub:
    def __init__(self, certificate=None):
        """'certificate' is the path of a PEM with key and certificate."""
        self.answers, self.requests = {}, []
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hub = self
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
            self.scheme = "https"

    @property
    def url(self):
        return "%s://localhost:%d" % (self.scheme, self.server.server_port)

    def answer(self, path, answer):
        self.answers[path] = answer

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


def problem(status, code, title, detail, sites=()):
    body = {"type": "/api/docs/errors#" + code, "title": title,
            "status": status, "detail": detail, "code": code,
            "instance": "req-1"}
    if sites:
        body["sites"] = list(sites)
    return Reply(body, status, {"Content-Type": "application/problem+json"})


def page(items, sites=(("hkg", "answered", None), ("lon", "answered", None)),
         following=None):
    """A list's answer; 'sites' are (name, state, reason)."""
    return {"items": items, "next": following,
            "sites": [{"site": name, "state": state, "age_ms": 42000,
                       "latency_ms": 45, "reason": reason}
                      for name, state, reason in sites]}
