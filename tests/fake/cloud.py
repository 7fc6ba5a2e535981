#!/usr/bin/python3
"""An OpenStack that misbehaves on demand, over real HTTP: for what a real service cannot be made to do.

    cloud.py [--port N] [--tls CERT KEY]

Prints "listening PORT" and serves until it is stopped. The word after the port chooses how it behaves:
"http://127.0.0.1:PORT/truncated/v3" is the Keystone of a cloud whose lists end too early. SCENARIOS below has them all;
"fine" is a cloud in good order, with 3 servers; "many-N" has N of them. GET /SCENARIO/log gives the requests so far.
"""
import argparse
import json
import socketserver
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

PROJECT = "0123456789abcdef0123456789abcdef"
TOKEN = "CANARY-token"
LOGS = {}
LOCK = threading.Lock()


def server(i, **more):
    return {
        "id": "%08x-0000-4000-8000-000000000000" % i, "name": "vm-%d" % i, "status": "ACTIVE", "tenant_id": PROJECT,
        "created": "2026-11-25T08:%02d:%02dZ" % (i // 60 % 60, i % 60), "updated": "2026-11-25T08:00:00Z",
        "flavor": {"vcpus": 1, "ram": 512, "disk": 1, "original_name": "m1.tiny"},
        "image": {"id": "c5045e6c-2041-4b7b-92d0-0367a6d201b9", "links": [{"rel": "bookmark", "href": "http://x/" * 8}]},
        "addresses": {"net1": [{"version": 4, "addr": "10.0.0.%d" % (i % 250), "OS-EXT-IPS:type": "fixed",
                                "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:aa:bb:cc"}]},
        "metadata": {}, "OS-EXT-AZ:availability_zone": "nova", "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1, "links": [{"rel": "self", "href": "http://127.0.0.1/v2.1/servers/%d" % i}] * 4,
        "security_groups": [{"name": "default"}], **more}


def newest_first(n):
    rows = [server(i) for i in range(n)]
    return sorted(rows, key=lambda r: (r["created"], [-ord(c) for c in r["id"]]), reverse=True)


ROWS = {}


def rows_of(n):
    if n not in ROWS:
        ROWS[n] = newest_first(n)
    return ROWS[n]


def body(rows, marker=None, base="", **more):
    answer = {"servers": rows, **more}
    if marker:
        answer["servers_links"] = [{"rel": "next", "href": "%s/v2.1/servers/detail?marker=%s" % (base, marker)}]
    return json.dumps(answer).encode()


# --- how it may behave: each gets the handler and the query of a list of servers, and answers ---

def many(n):
    def answer(h, query):
        rows, limit = rows_of(n), min(1000, int(query.get("limit", ["1000"])[0]))
        start = 0
        if "marker" in query:
            ids = [r["id"] for r in rows]
            if query["marker"][0] not in ids:
                return h.send(400, b'{"badRequest": {"code": 400, "message": "marker not found"}}')
            start = ids.index(query["marker"][0]) + 1
        page = rows[start:start + limit]
        more = start + limit < n
        key = (n, start, limit)
        if key not in CACHE:
            CACHE[key] = body(page, page[-1]["id"] if more else None, h.base())
        return h.send(200, CACHE[key])
    return answer


CACHE = {}


def status(code, data=b'{"computeFault": {"code": 0, "message": "It is\\u001b[31m unwell"}}', **headers):
    return lambda h, query: h.send(code, data, **{k.replace("_", "-"): v for k, v in headers.items()})


def raw(data, pause=0):
    def answer(h, query):
        h.close_connection = True
        for at in range(0, len(data), 1 if pause else len(data)):
            h.wfile.write(data[at:at + (1 if pause else len(data))])
            h.wfile.flush()
            time.sleep(pause)
    return answer


def typed(data, kind="application/json", **headers):
    return lambda h, query: h.send(200, data, kind, **{k.replace("_", "-"): v for k, v in headers.items()})


def head(extra=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n" + extra + b"\r\n"


def endless_chunks(h, query):
    h.close_connection = True
    h.wfile.write(head(b"Transfer-Encoding: chunked\r\n"))
    row = json.dumps(server(1)).encode() + b","
    first = b'{"servers": ['
    h.wfile.write(b"%x\r\n%s\r\n" % (len(first), first))
    while True:
        h.wfile.write(b"%x\r\n%s\r\n" % (len(row), row))


def silence(h, query):
    h.close_connection = True
    time.sleep(60)


def other_host(h, query):
    h.send(200, body([server(1)], "x", "http://127.0.0.2:9"))


def loop(h, query):
    h.send(200, body([server(1)], "same", h.base()))


def two_loop(h, query):
    marker = query.get("marker", ["b"])[0]
    h.send(200, body([server(1)], "a" if marker == "b" else "b", h.base()))


def no_end(h, query):
    marker = int(query.get("marker", ["0"])[0])
    h.send(200, body([server(marker)], str(marker + 1), h.base()))


def latin1(h, query):
    h.send(200, body([server(1)]).replace(b"vm-1", b"caf\xe9"), "application/json; charset=latin-1")


def gzipped(h, query):
    import gzip
    h.send(200, gzip.compress(body([server(1)])), **{"Content-Encoding": "gzip"})


def odd_rows(h, query):
    rows = [server(1), server(2, name="\x1b]0;owned\x07<script>"), server(3, name="n" * 65536), {"name": "no id"},
            server(4, created=None), server(5, created="yesterday"), server(6, status=7), server(7, id=7)]
    h.send(200, body(rows))


ROW = json.dumps(server(1)).encode()
LIST = body([server(1), server(2)])

SCENARIOS = {
    "fine": many(3),
    "http-204": status(204, b""),
    "http-301": status(301, b"", Location="http://127.0.0.2:9/stolen"),
    "http-302-json": status(302, LIST, Location="http://127.0.0.2:9/stolen"),
    "http-400": status(400), "http-403": status(403), "http-404": status(404), "http-418": status(418),
    "http-429": status(429, Retry_After="1000000000"), "http-500": status(500), "http-503": status(503),
    "http-999": status(999),
    "http-502-html": lambda h, q: h.send(502, b"<html>Bad Gateway</html>", "text/html"),
    "http-401": status(401, b'{"error": {"code": 401, "message": "Unauthorized"}}'),
    "no-status": raw(b"hello\r\n\r\n"),
    "http-09": raw(LIST),
    "garbage": raw(bytes(range(256)) * 64),
    "closed": raw(b""),
    "html": typed(b"<html>Welcome to nginx!</html>", "text/html"),
    "html-as-json": typed(b"<html>Welcome to nginx!</html>"),
    "empty": typed(b""),
    "truncated": raw(head() + LIST[:-20]),
    "truncated-in-name": raw(head() + LIST[:30]),
    "short-of-length": raw(head(b"Content-Length: 100000\r\n") + LIST),
    "cut-chunk": raw(head(b"Transfer-Encoding: chunked\r\n") + b"ffff\r\n" + LIST),
    "latin-1": latin1, "gzip": gzipped,
    "endless": endless_chunks, "silent": silence,
    "drip": raw(head() + LIST, 0.002),
    "big-headers": raw(head(b"X-Filler: " + b"x" * (1 << 20) + b"\r\n") + LIST),
    "many-headers": raw(head(b"".join(b"X-%d: y\r\n" % i for i in range(20000))) + LIST),
    "nested": typed(b'{"servers": [' + b"[" * (10 << 20) + b"]}"),
    "not-a-list": typed(b'{"servers": "none"}'),
    "no-list": typed(b'{"computeFault": {}}'),
    "list-twice": typed(b'{"servers": [], "servers": []}'),
    "null": typed(b"null"),
    "comment": typed(b'{"servers": [] /* none */}'),
    "nan": typed(b'{"servers": [NaN]}'),
    "id-twice": typed(b'{"servers": [{"id": "a", "id": "b"}, ' + ROW + b"]}"),
    "odd-rows": odd_rows,
    "other-host": other_host, "loop": loop, "two-loop": two_loop, "no-end": no_end,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, code, data, kind="application/json", **headers):
        self.send_response_only(code)
        self.send_header("Content-Type", kind)
        if code != 204:
            self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def base(self):
        return "%s://127.0.0.1:%d/%s/compute" % (self.server.scheme, self.server.server_address[1], self.scenario)

    def catalog(self):
        def entry(kind):
            url = self.base().replace("/compute", "/" + kind)
            return {"type": kind, "endpoints": [{"interface": "public", "region_id": "R", "url": url}]}
        return [entry(k) for k in ("identity", "compute", "network", "image", "block-storage")]

    def login(self):
        length = int(self.headers.get("Content-Length", 0))
        asked = json.loads(self.rfile.read(length))
        word = asked["auth"]["identity"]["password"]["user"]["password"]
        if word != "CANARY-password":
            return self.send(401, b'{"error": {"code": 401, "message": "Unauthorized"}}')
        token = {"expires_at": "2099-01-01T00:00:00.000000Z", "project": {"id": PROJECT},
                 "roles": [{"name": "admin"}], "catalog": self.catalog()}
        return self.send(201, json.dumps({"token": token}).encode(), **{"X-Subject-Token": TOKEN})

    def answer(self):
        url = urlsplit(self.path)
        self.scenario, _, path = url.path[1:].partition("/")
        if path == "log":
            return self.send(200, json.dumps(LOGS.get(self.scenario, [])).encode())
        with LOCK:
            LOGS.setdefault(self.scenario, []).append("%s %s" % (self.command, self.path))
        if path == "v3/auth/tokens":
            return self.login()
        if self.headers.get("X-Auth-Token") != TOKEN:
            return self.send(401, b'{"error": {"code": 401, "message": "Unauthorized"}}')
        if path == "compute/v2.1/":
            return self.send(200, b'{"version": {"id": "v2.1", "version": "2.93", "min_version": "2.1"}}')
        if path == "compute/v2.1/servers/detail":
            if self.scenario.startswith("many-"):
                return many(int(self.scenario[5:]))(self, parse_qs(url.query))
            return SCENARIOS[self.scenario](self, parse_qs(url.query))
        return self.send(404, b'{"itemNotFound": {"code": 404, "message": "not found"}}')

    def do_GET(self):
        try:
            self.answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_GET


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    scheme = "http"

    def handle_error(self, request, client_address):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    args = parser.parse_args()
    httpd = Server(("127.0.0.1", args.port), Handler)
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*args.tls)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        httpd.scheme = "https"
    print("listening %d" % httpd.server_address[1], flush=True)
    httpd.serve_forever()


if __name__ == "__main__":
    main()
