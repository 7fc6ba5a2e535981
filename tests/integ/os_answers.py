#!/usr/bin/python3
"""The agent's OpenStack client, by os_driver, against answers that no real service can be made to give (tests/fake/
cloud.py): each must become its outcome, in time, in words, without a secret, and without going where it was not told to.

    os_answers.py OS_DRIVER
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
DRIVER = sys.argv[1]
NOT_FOUND, UNSUPPORTED, TIMEOUT, UNREACHABLE, BAD_ANSWER, LOGIN, BUSY, BAD_CALL, TOO_LARGE, UPSTREAM = range(12, 22)
FAULT = 10  # a negative op.rc: its own deadline
PASSED = FAILED = 0

# scenario, exit status, words that must be said
EXPECTED = [
    ("fine", 0, "3 records of 3"),
    ("many-2500", 0, "1000 records of 1000"),
    ("drip", 0, "2 records of 2"),
    ("http-204", UPSTREAM, "204"),
    ("http-301", UPSTREAM, "301"),
    ("http-302-json", UPSTREAM, "302"),
    ("http-400", UPSTREAM, "400, It is[31m unwell"),
    ("http-403", UPSTREAM, "may not do this at the site"),
    ("http-404", UPSTREAM, "404"),
    ("http-418", UPSTREAM, "418"),
    ("http-429", UPSTREAM, "asked too often"),
    ("http-500", UPSTREAM, "500"),
    ("http-503", UPSTREAM, "503"),
    ("http-999", (UPSTREAM, UNREACHABLE), ""),
    ("http-502-html", UPSTREAM, "502"),
    ("http-401", LOGIN, "401, Unauthorized; the agent's credential"),
    ("no-status", UNREACHABLE, ""),
    ("http-09", UNREACHABLE, ""),
    ("garbage", UNREACHABLE, ""),
    ("closed", UNREACHABLE, ""),
    ("html", BAD_ANSWER, "answered text/html where JSON was expected"),
    ("html-as-json", BAD_ANSWER, "answered not JSON (at byte 0)"),
    ("empty", BAD_ANSWER, "ends too early"),
    ("truncated", BAD_ANSWER, "ends too early"),
    ("truncated-in-name", BAD_ANSWER, "ends too early"),
    ("short-of-length", UNREACHABLE, ""),
    ("cut-chunk", UNREACHABLE, ""),
    ("latin-1", BAD_ANSWER, "not JSON"),
    ("gzip", BAD_ANSWER, "not JSON"),
    ("endless", TOO_LARGE, "openstack.answer_max"),
    ("silent", FAULT, "compute: GET /v2.1/servers/detail: no answer in time"),
    ("big-headers", (TOO_LARGE, UNREACHABLE, FAULT), ""),
    ("many-headers", (TOO_LARGE, UNREACHABLE, FAULT), ""),
    ("nested", BAD_ANSWER, "nested too deep"),
    ("not-a-list", BAD_ANSWER, "whose list is no list"),
    ("no-list", BAD_ANSWER, "without the expected list"),
    ("list-twice", BAD_ANSWER, "same member twice"),
    ("null", BAD_ANSWER, "without the expected list"),
    ("comment", BAD_ANSWER, "not JSON"),
    ("nan", BAD_ANSWER, "not JSON"),
    ("id-twice", BAD_ANSWER, "1 records were left out"),
    ("odd-rows", BAD_ANSWER, "1 records were left out"),
    ("other-host", BAD_ANSWER, "points to another host"),
    ("loop", BAD_ANSWER, "leads back to a page"),
    ("two-loop", BAD_ANSWER, "leads back to a page"),
    ("no-end", TOO_LARGE, "more than 100 pages"),
]


def check(name, good, why=""):
    global PASSED, FAILED
    if good:
        PASSED += 1
    else:
        FAILED += 1
        print("FAILED %s: %s" % (name, why))


def clouds(folder, url, **more):
    path = pathlib.Path(folder) / "clouds.yaml"
    entry = {"auth": {"auth_url": url, "username": "u", "password": "CANARY-password", "project_name": "p"}, **more}
    path.write_text(json.dumps({"clouds": {"c": entry}}))
    path.chmod(0o600)
    return str(path)


def drive(path, *words, timeout_ms=8000):
    begun = time.monotonic()
    env = dict(os.environ, OS_DRIVER_ANSWER_MAX=str(12 << 20), OS_DRIVER_PAGES_MAX="100")
    run = subprocess.run([DRIVER, path, "c", *words, "-t", str(timeout_ms)], capture_output=True, timeout=120, env=env)
    return run, time.monotonic() - begun


def start_cloud(*words):
    cloud = subprocess.Popen([sys.executable, "-B", str(HERE.parent / "fake" / "cloud.py"), *words],
                             stdout=subprocess.PIPE, text=True)
    return cloud, int(cloud.stdout.readline().split()[1])


def scenario(folder, port, name, status, words):
    # Plain sorting by a time is the service's own order; by name every page is read.
    sort = "created_at:desc" if name in ("fine", "many-2500") else "name"
    limit = "1000"
    timeout = 2000 if name == "silent" else 30000
    run, took = drive(clouds(folder, "http://127.0.0.1:%d/%s/v3" % (port, name)), "list", "server", "-s", sort, "-l",
                      limit, timeout_ms=timeout)
    said = run.stderr.decode(errors="replace")
    wanted = status if isinstance(status, tuple) else (status,)
    check(name, run.returncode in wanted and words in said, "exit %d, %s" % (run.returncode, said[-600:]))
    check(name + ": no secret", b"CANARY" not in run.stderr + run.stdout, said)
    check(name + ": no control character", not any(b < 32 and b != 10 for b in run.stderr), repr(run.stderr))
    check(name + ": in time", took < 40, "%.1f s" % took)


def requests(port, name):
    with urllib.request.urlopen("http://127.0.0.1:%d/%s/log" % (port, name)) as answer:
        return json.load(answer)


def tls(folder):
    cert, key = folder + "/cert.pem", folder + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    cloud, port = start_cloud("--tls", cert, key)
    url = "https://127.0.0.1:%d/fine/v3" % port
    try:
        run, _ = drive(clouds(folder, url), "list", "server")
        check("self-signed", run.returncode == UNREACHABLE and b"certificate" in run.stderr, run.stderr)
        run, _ = drive(clouds(folder, url, cacert="cert.pem"), "list", "server")
        check("its own authority", run.returncode == 0, run.stderr)
        run, _ = drive(clouds(folder, url, verify=False), "list", "server")
        check("not verified", run.returncode == 0, run.stderr)
        run, _ = drive(clouds(folder, url.replace("127.0.0.1", "localhost"), cacert="cert.pem"), "list", "server")
        check("another name", run.returncode == UNREACHABLE, run.stderr)
    finally:
        cloud.terminate()


def main():
    cloud, port = start_cloud()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, status, words in EXPECTED:
                scenario(folder, port, name, status, words)
            check("401 loop: one new login", len(requests(port, "http-401")) == 5, requests(port, "http-401"))
            check("301: not followed", len(requests(port, "http-301")) == 3, requests(port, "http-301"))
            check("2500 servers: one page for 1000", len(requests(port, "many-2500")) == 3, requests(port, "many-2500"))
            run, _ = drive(clouds(folder, "http://127.0.0.1:%d/many-2500/v3" % port), "list", "server", "-s",
                           "created_at:desc", "-l", "300", "-p", timeout_ms=60000)
            rows = run.stdout.split(b"\n")[:-1]
            check("2500 servers in pages", run.returncode == 0 and len(set(rows)) == 2500 and rows ==
                  sorted(rows, key=lambda r: (r.split(b"\t")[0], [-c for c in r.split(b"\t")[1]]), reverse=True),
                  "%d, %d rows" % (run.returncode, len(rows)))
            tls(folder)
        finally:
            cloud.terminate()
    print("%d passed, %d failed" % (PASSED, FAILED))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
