"""Bad input over HTTPS: each answered as it should be, and the hub goes on."""

import json
import re
import socket
import ssl
import time
import urllib.parse

import pytest

import rig

PORT = rig.PORT


@pytest.fixture(autouse=True)
def still_serves():
    """After each: the same process, the sites present, nothing left open."""
    pid = rig.hub().pid()
    yield
    assert rig.hub().pid() == pid
    assert rig.present() == rig.SITES
    rig.wait_for(lambda: rig.metrics()["isthmus_hub_requests_open"] == 0, 15,
                 "requests to be over")


# -------------------------------------------------------------- parameters

BIG = "9" * 30
NAMED = [  # Parameter -> values that are none.
    ("limit", ["0", "-1", "1001", "1000000000", BIG, "", " 1", "1 ", "+1",
               "0x10", "1.0", "1e2", "NaN", "ten", "1,2", "\uff11", "null",
               "true", "1;2"]),
    ("deadline", ["0", "99", "60001", BIG, "", "-1", "1s", "1500ms", "1.5e3",
                  "soon"]),
    ("partial", ["", "DENY", "Allow", "yes", "1", "allow,deny", "allow "]),
    ("sort", ["", ",", "name,", ",name", "-", "--name", "+name", "nosuch",
              "name,name", "name,-name", "Name", "id,name,status,project,host",
              "name;id", "name desc", "OS-EXT-SRV-ATTR:host", "\u00e9",
              "../id", "x" * 500]),
    ("site", ["", ",", "hkg,", ",hkg", "hkg,,lon", "hkg,hkg", "nosuch", "HKG",
              "hkg lon", "*", "../hkg", "hkg;lon", "x" * 300,
              ",".join("s%d" % i for i in range(65))]),
    ("fields", ["", ",", "id,", "id,,name", "id,id", "a.b", "x" * 64,
                ",".join("f%d" % i for i in range(16))]),
    ("name", [""]),
    ("status", ["", ",", "ACTIVE,", ",".join(["A"] * 65)]),
    ("project", ["", "a,,b", ",".join(["p"] * 65)]),
    ("marker", ["", "x", "!!!!", "....", "AAAA", "A" * 4097, "\u00e9",
                "Cgdwcm9qZWN0", "null", "0b5f4a7e-5c0e-4d6e-9e5d-2f2b8f0e6a11",
                "=" * 8, "/////w", "-1"]),
    ("max_age", ["", "-1", "31536001", BIG, "1.5", "10s", "now"]),
    ("consistent", ["", "yes", "1", "TRUE", "true,false"]),
    ("id", ["", "a,,b", ",".join(["i"] * 65)]),
]
CASES = [(name, value) for name, values in NAMED for value in values]


@pytest.mark.parametrize("name,value", CASES, ids=[
    "%s=%s" % (name, ascii(value)[:30]) for name, value in CASES])
def test_parameter(name, value):
    answer = rig.api("servers?%s=%s" % (name, urllib.parse.quote(
        value, safe="")))
    assert answer.status == 400, answer.body
    problem = answer.problem()
    assert problem["code"] == "bad_parameter"
    assert name in problem["detail"], problem["detail"]
    assert answer.seconds < 0.1 * rig.SLACK
    assert "<" not in problem["detail"] and "\n" not in problem["detail"]


OTHERS = [  # Path, what the answer must name.
    ("servers?max_age=1&consistent=true", "max_age"),
    ("search", "q"), ("search?q=a", "q"), ("search?q=" + "a" * 256, "q"),
    ("search?q=ab&limit=0", "limit"), ("search?q=ab&limit=501", "limit"),
    ("search?q=ab&project=a,,b", "project"), ("search?q=ab&x=1", "parameters"),
    ("events?limit=0", "limit"), ("events?limit=1001", "limit"),
    ("events?severity=bad", "severity"), ("events?since=soon", "since"),
    ("events?until=2026-02-30T00:00:00Z", "until"), ("events?site=", "site"),
    ("events?after=-1", "after"), ("events?after=" + BIG, "after"),
    ("events?after=18446744073709551614", "after"), ("events?x=1", "x"),
    ("events?follow=maybe", "follow"), ("events?limit=1&limit=2", "limit"),
    ("events/stream?from=yesterday", "from"),
    ("events/stream?since=1h", "since"), ("events/stream?limit=1", "limit"),
]


@pytest.mark.parametrize("path,name", OTHERS, ids=[
    path[:40] for path, _ in OTHERS])
def test_parameters_of_view_and_events(path, name):
    answer = rig.api(path)
    assert answer.status == 400, answer.body
    problem = answer.problem()
    assert problem["code"] == "bad_parameter"
    assert name in problem["detail"], problem["detail"]


def test_bounds_are_inside():
    """The last values that are good, on each side."""
    for query in ["limit=1", "limit=1000", "deadline=100", "deadline=60000",
                  "partial=allow", "sort=id,name,status,project",
                  "fields=" + ",".join("f%d" % i for i in range(15)),
                  "fields=" + "x" * 63,
                  "status=" + ",".join(["A"] * 64)]:
        answer = rig.api("networks?" + query)
        assert answer.status == 200, (query, answer.body)


@pytest.mark.parametrize("path,named", [
    ("servers?foo=1", "foo"), ("servers?Limit=1", "Limit"),
    ("servers?limit=1&limit=1", "limit"), ("servers?limit=1&limit=2", "limit"),
    ("servers?site=hkg&site=lon", "site"), ("servers?=1", ""),
    ("servers?limit", "limit"), ("flavors/1?limit=1", "limit"),
    ("flavors/1?marker=x", "marker"), ("flavors/1?sort=name", "sort"),
    ("flavors/1?deadline=1", "deadline"), ("flavors/1?site=nosuch", "site"),
    ("flavors/1?partial=x", "partial"), ("flavors/1?fields=a.b", "fields"),
    ("subnets?status=ACTIVE", "status"), ("flavors?project=x", "project"),
    ("flavors?sort=created_at", "sort"), ("subnets?sort=status", "sort"),
    ("servers?all_tenants=1", "all_tenants"),
    ("servers?%3Cscript%3E=1", "script"), ("servers?" + "a" * 3000 + "=1", ""),
    ("servers/" + "x" * 256, "id"),
])
def test_request(path, named):
    answer = rig.api(path)
    assert answer.status == 400, answer.body
    assert named in answer.problem()["detail"]


@pytest.mark.parametrize("path", [
    "nosuch", "server", "Servers", "servers/", "servers/1/2", "", "sites/",
    "sites/nosuch", "sites/HKG", "sites/hkg/x", "version/x", "v1",
    "servers%20", "%73%65", "nosuch/1", "servers/1/"])
def test_unknown_path(path):
    answer = rig.api(path)
    assert answer.status == 404, answer.body
    assert answer.problem()["code"] == "not_found"


def test_sites_takes_no_parameters():
    answer = rig.api("sites?limit=1")
    assert answer.status == 400 and "limit" in answer.problem()["detail"]
    answer = rig.api("sites/lon?deadline=1000")
    assert answer.status == 400 and "deadline" in answer.problem()["detail"]


def marker_of(path):
    following = rig.api(path).json()["next"]
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(following).query)
    return query["marker"][0]


def test_foreign_marker():
    """Of another kind, another sort; cut, grown, and with a bit changed."""
    mine = marker_of("servers?sort=name&limit=2")
    assert rig.api("servers?sort=name&marker=" + mine).status == 200
    for path in ["servers?marker=", "servers?sort=-name&marker=",
                 "servers?sort=name,id&marker=", "networks?sort=name&marker=",
                 "volumes?sort=name&marker="]:
        answer = rig.api(path + mine)
        assert answer.status == 400, path
        assert answer.problem()["detail"].startswith("marker: belongs to")
    for size in range(1, len(mine)):
        answer = rig.api("servers?sort=name&marker=" + mine[:size])
        assert answer.status in (400, 200)
        assert answer.status == 400 or size > len(mine) - 50
    answer = rig.api("servers?sort=name&marker=" + mine + mine)
    assert answer.status in (400, 200)


def test_every_changed_marker():
    """Whoever changes a marker gets a place of his own choosing or 400, and
    never anything else."""
    mine = marker_of("projects?limit=2")
    for at in range(0, len(mine), 1 if rig.FULL else 5):
        for letter in "A_9":
            answer = rig.api("projects?limit=1&marker=%s%s%s" % (
                mine[:at], letter, mine[at + 1:]))
            assert answer.status in (200, 400), answer.body
            if answer.status == 400:
                assert "marker" in answer.problem()["detail"]


# ------------------------------------------------------------------- login


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer ", "Bearer x", "Basic {token}", "{token}",
    "Bearer {token}x", "Bearer  {token}", "Bearer {token} x", "Bearer {half}",
    "Bearer \u00e9{token}", "Bearer " + "x" * 4000, "Bearer {upper}",
    "Token {token}", "Bearer {token},{token}", "Bearer null"])
def test_bad_token(header):
    mine = rig.token()
    headers = {} if header is None else {"Authorization": header.format(
        token=mine, half=mine[:24], upper=mine.upper()).encode("latin-1")}
    for path in ["/api/v1/servers", "/api/v1/sites", "/api/v1/nosuch",
                 "/nosuch", "/api/v1/servers?limit=0"]:
        answer = rig.get(path, headers=headers, auth=False)
        assert answer.status == 401, (path, answer.status)
        assert answer.problem()["code"] == "unauthorized"
        assert mine not in answer.body.decode()


def test_other_headers_have_no_effect():
    for name in ["X-Roles", "X-User-Id", "X-Is-Admin-Project",
                 "X-Identity-Status", "X-Auth-Token", "X-Forwarded-For",
                 "Cookie"]:
        answer = rig.get("/api/v1/servers", headers={name: "admin"},
                         auth=False)
        assert answer.status == 401, name


# --------------------------------------------------------------- raw bytes


def connect():
    return rig.tls().wrap_socket(
        socket.create_connection(("127.0.0.1", PORT), 20),
        server_hostname="localhost")


def raw(data, timeout=20):
    """Status of the answer to these bytes; None when there is none."""
    with connect() as connection:
        connection.settimeout(timeout)
        try:
            connection.sendall(data)
            answer = b""
            while b"\r\n\r\n" not in answer:
                piece = connection.recv(65536)
                if not piece:
                    break
                answer += piece
        except (ConnectionError, ssl.SSLError):
            return None
        found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        return int(found.group(1)) if found else None


def head(line="GET /api/v1/sites HTTP/1.1", *more, host="Host: localhost",
         auth=True):
    lines = [line] + ([host] if host else []) + list(more)
    if auth:
        lines.append("Authorization: Bearer " + rig.token())
    return "\r\n".join(lines + ["", ""]).encode("latin-1")


LINE = "GET /api/v1/sites?%s HTTP/1.1"
RAW = {
    "good": (head(), {200}),
    "long line": (head(LINE % ("x" * 9000)), {414}),
    "longest line": (head(LINE % ("x" * 8000)), {400}),
    "huge line": (head(LINE % ("x" * 1000000)), {414, None}),
    "long header": (head("GET /api/v1/sites HTTP/1.1", "X: " + "x" * 9000),
                    {431}),
    "huge header": (head("GET /api/v1/sites HTTP/1.1", "X: " + "x" * 10 ** 6),
                    {431, None}),
    "many headers": (head("GET /api/v1/sites HTTP/1.1",
                          *("X-%d: 1" % i for i in range(65))), {431}),
    "no host": (head(host=None), {400}),
    "two hosts": (head("GET /api/v1/sites HTTP/1.1", "Host: other"), {400}),
    "bad host": (head(host="Host: a b"), {400}),
    "http 1.0": (head("GET /api/v1/sites HTTP/1.0"), {505, 400}),
    "http 2.0": (head("GET /api/v1/sites HTTP/2.0"), {505, 400}),
    "http 1.10": (head("GET /api/v1/sites HTTP/1.10"), {505, 400}),
    "http 0.9": (b"GET /api/v1/sites\r\n\r\n", {505, 400, None}),
    "h2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505, 400}),
    "lower case": (head("get /api/v1/sites HTTP/1.1"), {405, 400}),
    "no method": (head(" /api/v1/sites HTTP/1.1"), {400, None}),
    "two lengths": (head("POST /api/v1/sites HTTP/1.1", "Content-Length: 1",
                         "Content-Length: 2") + b"xx", {400}),
    "length +1": (head("POST /api/v1/sites HTTP/1.1", "Content-Length: +1")
                  + b"x", {400}),
    "length -1": (head("POST /api/v1/sites HTTP/1.1", "Content-Length: -1"),
                  {400}),
    "length hex": (head("POST /api/v1/sites HTTP/1.1", "Content-Length: 0x5"),
                   {400}),
    "length 2^64": (head("POST /api/v1/sites HTTP/1.1",
                         "Content-Length: 18446744073709551616"), {400, 413}),
    "length and chunked": (head("POST /api/v1/sites HTTP/1.1",
                                "Content-Length: 5",
                                "Transfer-Encoding: chunked")
                           + b"0\r\n\r\n", {400}),
    "unknown coding": (head("POST /api/v1/sites HTTP/1.1",
                            "Transfer-Encoding: gzip"), {400, 501}),
    "large body": (head("POST /api/v1/sites HTTP/1.1",
                        "Content-Length: 2000000") + b"x" * 2000000,
                   {413, None}),
    "announced too large": (head("POST /api/v1/sites HTTP/1.1",
                                 "Content-Length: 1048577"), {413}),
    "absolute form": (head("GET http://evil/api/v1/sites HTTP/1.1"), {400}),
    "asterisk": (head("OPTIONS * HTTP/1.1"), {400, 405}),
    "connect": (head("CONNECT evil:443 HTTP/1.1"), {400, 405}),
    "nul in path": (head("GET /api/v1/%00sites HTTP/1.1"), {400}),
    "dots": (head("GET /api/v1/../v1/sites HTTP/1.1"), {400, 404}),
    "encoded dots": (head("GET /api/v1/%2e%2e/v1/sites HTTP/1.1"),
                     {400, 404}),
    "overlong": (head("GET /api/v1/%c0%afsites HTTP/1.1"), {400}),
    "twice encoded": (head("GET /api/v1/%252e HTTP/1.1"), {400, 404}),
    "two slashes": (head("GET //api/v1/sites HTTP/1.1"), {400, 404}),
    "8 bit path": (head("GET /api/v1/\xe9 HTTP/1.1"), {400, 404}),
    "escape": (head("GET /api/v1/sites\x1b HTTP/1.1"), {400}),
    "bad escape": (head("GET /api/v1/sites?a=%zz HTTP/1.1"), {400}),
    "cut escape": (head("GET /api/v1/sites?a=% HTTP/1.1"), {400}),
    "space in name": (head("GET /api/v1/sites HTTP/1.1", "X : 1"), {400}),
    "name of signs": (head("GET /api/v1/sites HTTP/1.1", "X(: 1"), {400}),
    "garbage": (bytes(range(256)) * 4, {400, 405, 505, None}),
    "many parameters": (head(LINE % "&".join("a%d=1" % i
                                             for i in range(500))), {400}),
}


@pytest.mark.parametrize("name", RAW)
def test_raw(name):
    data, expected = RAW[name]
    assert raw(data) in expected


def test_body_of_a_get_is_no_request():
    """What looks like a second request inside a body is not served."""
    hidden = head()
    with connect() as connection:
        connection.settimeout(3)
        connection.sendall(head("GET /api/v1/sites HTTP/1.1",
                                "Content-Length: %d" % len(hidden)) + hidden)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            pass
    assert answer.count(b"HTTP/1.1 ") == 1, answer


def test_pipelined_requests():
    """100 in one write: answered in order, one after the other."""
    n = 100
    with connect() as connection:
        connection.settimeout(20)
        connection.sendall(head("GET /api/v1/version HTTP/1.1") * (n - 1)
                           + head("GET /api/v1/version HTTP/1.1",
                                  "Connection: close"))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 OK") == n


def test_client_leaves():
    """In mid question: the sites' work is given up, and nothing stays."""
    for _ in range(20):
        with connect() as connection:
            connection.sendall(head("GET /api/v1/servers HTTP/1.1"))
    rig.wait_for(lambda: rig.metrics()["isthmus_hub_calls_open"] == 0, 15,
                 "no open calls")


# --------------------------------------------------------------------- TLS


def hello():
    """The first bytes of a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = rig.tls().wrap_bio(incoming, outgoing,
                                server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_cut_handshakes():
    """Ended at every length; and 100 that are left open, silent."""
    first = hello()
    fds = rig.metrics()["process_open_fds"]
    for size in range(0, len(first), 1 if rig.FULL else 13):
        with socket.create_connection(("127.0.0.1", PORT), 10) as connection:
            connection.sendall(first[:size])
    silent = [socket.create_connection(("127.0.0.1", PORT), 10)
              for _ in range(100)]
    for i, connection in enumerate(silent):
        connection.sendall(first[:i * len(first) // 100])
    start = time.monotonic()
    assert rig.api("sites").status == 200
    assert time.monotonic() - start < 0.5 * rig.SLACK
    cpu = rig.metrics()["process_cpu_seconds_total"]
    time.sleep(1)
    # Nothing spins on them.
    assert rig.metrics()["process_cpu_seconds_total"] - cpu < 0.3
    for connection in silent:
        connection.close()
    rig.wait_for(lambda: rig.metrics()["process_open_fds"] <= fds + 3, 20,
                 "descriptors to be closed")


def test_silent_connections_are_closed():
    """Ten seconds for a handshake and a head, TLS included."""
    with socket.create_connection(("127.0.0.1", PORT), 30) as connection:
        start = time.monotonic()
        connection.sendall(hello()[:50])
        try:
            data = connection.recv(100)
        except ConnectionError:
            data = b""
        took = time.monotonic() - start
    assert data == b"" or data[0] == 21  # A TLS alert.
    assert 9 < took < 12 + 3 * rig.SLACK
    start = time.monotonic()
    with connect() as connection:
        connection.settimeout(30)
        connection.sendall(b"GET /api/v1/sites HTTP/1.1\r\nHost: local")
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ssl.SSLError:
            pass
    assert 9 < time.monotonic() - start < 12 + 3 * rig.SLACK
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 1000,
    b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16\x03\x00\x00\x00",
    b"\x80\x2e\x01\x00\x02", b"SSH-2.0-x\r\n", b"\x15\x03\x01\0\2\2\x28" * 100,
    bytes(range(256)) * 16], ids=range(8))
def test_not_tls(data):
    """Plain HTTP and garbage where TLS is spoken: no HTTP comes back."""
    with socket.create_connection(("127.0.0.1", PORT), 15) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        except OSError as error:  # Reset, or closed before our shutdown().
            assert not isinstance(error, TimeoutError)
            answer = b""
    assert b"HTTP/" not in answer


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1,
                                     ssl.TLSVersion.TLSv1_1])
def test_old_tls(version):
    context = rig.tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", PORT), 15) as connection:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(connection, server_hostname="localhost")


def test_certificate_is_checked():
    """A client that trusts another CA does not talk to the hub."""
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", PORT), 15) as connection:
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(connection, server_hostname="localhost")
    done = rig.cli("server", "list", env={"ISTHMUS_CACERT":
                                          rig.HUB + "/ca/bus.pem"})
    assert done.returncode == 3
    assert "certificate" in done.stderr.lower()


def test_answers_are_json_whatever_is_asked():
    """What a client writes comes back escaped, or not at all."""
    for text in ["\"}],", "<script>", "\\u0000", "\u202e", "\U0001f41f",
                 "'; DROP", "%s%n", "{{7*7}}", "\x7f"]:
        quoted = urllib.parse.quote(text, safe="")
        for path in ["servers?sort=" + quoted, "servers?site=" + quoted,
                     "servers?" + quoted + "=1", "servers/" + quoted,
                     "sites/" + quoted, quoted]:
            answer = rig.api(path)
            assert answer.status in (400, 404), (path, answer.status)
            assert json.loads(answer.body)["status"] == answer.status
