#!/usr/bin/python3
"""The program "isthmus" as people and scripts meet it: against a hub that
answers by script, and against none.

    cli.py PROGRAM [unittest arguments]"""

import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from fake_hub import FakeHub, Reply, page, problem

PROGRAM = None
TOKEN = "secret-of-the-admin"


def server(number, site, **more):
    item = {"id": "id-%d" % number, "name": "web-%d" % number,
            "status": "ACTIVE", "addresses": {}, "image": "",
            "flavor": {"original_name": "m1"}, "site": site}
    item.update(more)
    return item


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.hub = self.enterContext(FakeHub())
        self.hub.answer("/api/v1/servers", page(
            [server(1, "hkg"), server(2, "lon", status="ERROR")]))
        self.hub.answer("/api/v1/networks", page([]))
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                    "ISTHMUS_URL": self.hub.url, "ISTHMUS_TOKEN": TOKEN}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def enterContext(self, manager):
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def run_it(self, *words, code=0, timeout=30, **options):
        options.setdefault("env", self.env)
        run = subprocess.run([PROGRAM, *words], capture_output=True,
                             timeout=timeout, check=False, **options)
        out, err = run.stdout.decode(), run.stderr.decode()
        self.assertEqual(run.returncode, code, out + err)
        self.assertNotIn(TOKEN, out + err)
        return out, err

    def query(self):
        """The parameters of the last request, as it wrote them."""
        path = self.hub.requests[-1][0]
        return dict(pair.split("=", 1) for pair in
                    path.partition("?")[2].split("&"))


class Words(Case):
    def test_no_arguments(self):
        out, err = self.run_it(code=2)
        self.assertEqual(out, "")
        self.assertIn("Usage: isthmus", err)

    def test_help_everywhere(self):
        self.env.pop("ISTHMUS_URL")
        for words in (["--help"], ["-h"], ["help"], ["server", "--help"],
                      ["server", "list", "--help"], ["help", "site", "show"],
                      ["--help", "floating", "ip", "list"],
                      ["complete", "--help"], ["help", "help"]):
            out, err = self.run_it(*words)
            self.assertIn("Usage: isthmus", out)
            self.assertEqual(err, "")
            self.assertLessEqual(max(map(len, out.splitlines())), 110)
        self.assertEqual(self.hub.requests, [])

    def test_version(self):
        self.assertRegex(self.run_it("--version")[0],
                         r"^isthmus \d+\.\d+\.\d+\n$")

    def test_hints(self):
        for words, hint in (
                (["servr", "list"], "did you mean 'server'"),
                (["server", "lst"], "did you mean 'list'"),
                (["server", "list", "--formt", "json"], "--format"),
                (["server", "list", "-c", "Nmae"], "did you mean 'Name'"),
                (["server", "list", "-c", "zzzzzz"], "there are: ID, Name"),
                (["floating", "ipp", "list"], "no such command"),
                (["help", "sever"], "did you mean 'server'")):
            self.assertIn(hint, self.run_it(*words, code=2)[1])
        self.assertEqual(self.hub.requests, [])

    def test_usage(self):
        for words in (["server"], ["server", "show"], ["server", "show", ""],
                      ["server", "show", "a", "b"], ["server", "list", "a"],
                      ["site", "list", "--limit", "1"],
                      ["server", "show", "a", "--limit", "1"],
                      ["server", "list", "-f", "shell"],
                      ["server", "show", "a", "-f", "csv"],
                      ["complete"], ["complete", "tcsh"],
                      ["complete", "bash", "-f", "json"],
                      ["server", "show", b"\xff\xfe"],
                      ["server", "show", "x" * 1025],
                      ["server", "list", "--token", TOKEN],
                      ["server", "list", "--token=" + TOKEN]):
            self.run_it(*words, code=2)
        self.assertEqual(self.hub.requests, [])

    def test_two_words_or_one(self):
        for words in (["security", "group"], ["security-group"]):
            self.hub.answer("/api/v1/security-groups", page([]))
            self.run_it(*words, "list")
            self.assertTrue(self.hub.requests[-1][0].startswith(
                "/api/v1/security-groups?"))

    def test_id_like_an_option_or_a_path(self):
        self.hub.answer("/api/v1/servers/-x", server(1, "hkg"))
        self.run_it("server", "show", "--", "-x")
        self.hub.answer("/api/v1/servers/..%2Fsites%3F%1B",
                        server(1, "hkg"))
        self.run_it("server", "show", "../sites?\x1b")


class Lists(Case):
    def test_table(self):
        out, err = self.run_it("server", "list", "-c", "ID", "-c", "Site")
        self.assertEqual(out, "ID    Site\nid-1  hkg\nid-2  lon\n")
        self.assertEqual(err, "")
        self.assertEqual(self.hub.requests[0][1]["Authorization"],
                         "Bearer " + TOKEN)

    def test_filters_become_parameters(self):
        self.run_it("server", "list", "--site", "hkg,lon", "--site", "sjc",
                    "--name", "a b&c=d,\u00e9", "--status", "ACTIVE,ERROR",
                    "--project", "p", "--sort", "-created_at,name:desc",
                    "--limit", "7", "--deadline", "250ms", "--partial",
                    "deny", "--fields", "id,OS-EXT-STS:task_state")
        self.assertEqual(self.query(), {
            "limit": "7", "site": "hkg,lon,sjc",
            "name": "a%20b%26c%3Dd,%C3%A9", "status": "ACTIVE,ERROR",
            "project": "p", "sort": "-created_at,-name", "partial": "deny",
            "deadline": "250", "fields": "id,OS-EXT-STS:task_state"})

    def test_rows_left_out_are_told(self):
        body = page([server(1, "hkg")],
                    [("hkg", "answered", "3 records were left out"),
                     ("lon", "answered", None)])
        body["sites"][0]["skipped"] = 3
        self.hub.answer("/api/v1/servers", body)
        out, err = self.run_it("server", "list", "-f", "value", "-c", "ID",
                               code=5)
        self.assertEqual(out, "id-1\n")
        self.assertIn("site hkg: not all it has: 3 records were left out\n",
                      err)

    def test_only_what_is_shown_is_asked_for(self):
        self.run_it("server", "list", "-c", "Name", "-c", "Networks",
                    "--sort-column", "ID")
        self.assertEqual(self.query()["fields"], "id,name,addresses")
        self.run_it("server", "list", "-c", "Site")
        self.assertEqual(self.query()["fields"], "id")

    def test_follows_next_to_the_end(self):
        for number in range(5):
            following = "/api/v1/servers?marker=%d" % (number + 1)
            here = "/api/v1/servers?marker=%d" % number if number else \
                "/api/v1/servers"
            self.hub.answer(here, page([server(number, "hkg")], following=(
                following if number < 4 else None)))
        out, _ = self.run_it("server", "list", "-f", "value", "-c", "ID")
        self.assertEqual(out, "".join("id-%d\n" % n for n in range(5)))
        self.assertEqual(self.query(), {"marker": "4"})

    def test_limit_stops(self):
        self.hub.answer("/api/v1/servers", page(
            [server(n, "hkg") for n in range(10)],
            following="/api/v1/servers?marker=x"))
        out, _ = self.run_it("server", "list", "-f", "value", "--limit", "3")
        self.assertEqual(len(out.splitlines()), 3)
        self.assertEqual(len(self.hub.requests), 1)

    def test_odd_next_pages(self):
        for following in ("http://evil.example/", "//evil.example/x",
                          "/etc/passwd", "/api/v1/x y", 7,
                          "/api/v1/servers?same"):
            self.hub.answer("/api/v1/servers?same",
                            page([], following="/api/v1/servers?same"))
            self.hub.answer("/api/v1/servers", page([], following=following))
            if following == 7:
                self.run_it("server", "list")
            else:
                self.run_it("server", "list", code=1)

    def test_sort_column(self):
        out, _ = self.run_it("server", "list", "-f", "value", "-c", "ID",
                             "--sort-column", "Status", "--sort-descending")
        self.assertEqual(out, "id-2\nid-1\n")
        out, err = self.run_it("server", "list", "-f", "value", "-c", "ID",
                               "--sort-column", "Networks")
        self.assertEqual(out, "id-1\nid-2\n")
        self.assertIn("cannot sort by 'Networks'", err)

    def test_empty(self):
        out, err = self.run_it("network", "list")
        self.assertEqual((out, err), ("", "No networks at 2 sites.\n"))
        self.hub.answer("/api/v1/images", page([], []))
        self.hub.answer("/api/v1/ports", page([], [("hkg", "answered", None)]))
        for noun, text in (("image", "No images: no sites yet.\n"),
                           ("port", "No ports at site hkg.\n")):
            self.assertEqual(self.run_it(noun, "list"), ("", text))
        out, err = self.run_it("network", "list", "--print-empty")
        self.assertTrue(out.startswith("ID  Name  Status"))
        for form, text in (("json", "[]\n"), ("value", ""),
                           ("yaml", "[]\n")):
            self.assertEqual(self.run_it("network", "list", "-f", form),
                             (text, ""))

    def test_partial(self):
        self.hub.answer("/api/v1/servers", page(
            [server(1, "hkg")],
            [("hkg", "answered", None), ("lon", "failed", "no answer in time"),
             ("sjc", "stale", None)]))
        for form in ("table", "json", "csv", "value", "yaml"):
            out, err = self.run_it("server", "list", "-f", form, code=5)
            self.assertIn("id-1", out)
            self.assertEqual(err, "site lon: no answer in time\n"
                                  "site sjc: as it was 42 s ago\n")

    def test_no_site_at_all(self):
        self.hub.answer("/api/v1/servers", page(
            [], [("hkg", "failed", "absent"), ("lon", "failed", "busy")]))
        out, err = self.run_it("server", "list", code=3)
        self.assertEqual(err, "site hkg: absent\nsite lon: busy\n"
                              "isthmus: no site answered\n")

    def test_failure_on_a_later_page_counts(self):
        self.hub.answer("/api/v1/servers", page(
            [server(1, "hkg")], following="/api/v1/servers?marker=2"))
        self.hub.answer("/api/v1/servers?marker=2", page(
            [server(2, "hkg")], [("lon", "failed", "gone")]))
        out, err = self.run_it("server", "list", "-f", "value", code=5)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertEqual(err, "site lon: gone\n")

    def test_site_list(self):
        self.hub.answer("/api/v1/sites", {"items": [
            {"name": "hkg", "state": "present", "services": ["compute"]}],
            "next": None})
        out, err = self.run_it("site", "list", "-f", "value", "-c", "Name",
                               "-c", "State")
        self.assertEqual((out, err), ("hkg present\n", ""))
        self.assertEqual(self.hub.requests[-1][0], "/api/v1/sites")


class Shows(Case):
    def test_fields(self):
        self.hub.answer("/api/v1/servers/id-1", server(1, "hkg"))
        out, _ = self.run_it("server", "show", "id-1", "-f", "json",
                             "-c", "name", "-c", "site")
        self.assertEqual(json.loads(out), {"name": "web-1", "site": "hkg"})
        self.run_it("server", "show", "id-1", "-c", "nothing", code=2)

    def test_by_name(self):
        self.hub.answer("/api/v1/servers", page([server(1, "hkg")]))
        out, _ = self.run_it("server", "show", "web-1", "-f", "value",
                             "-c", "id")
        self.assertEqual(out, "id-1\n")
        self.assertEqual(self.query()["name"], "web-1")

    def test_name_of_several(self):
        out, err = self.run_it("server", "show", "web", code=1)
        self.assertEqual(out, "")
        self.assertIn("id-1 at hkg, id-2 at lon", err)

    def test_nothing(self):
        self.hub.answer("/api/v1/servers", page([]))
        _, err = self.run_it("server", "show", "x\x1b[31m", code=1)
        self.assertIn(r"no server has the id or name x\x1b[31m", err)

    def test_several_sites(self):
        self.hub.answer("/api/v1/keypairs/mine", Reply(
            {"choices": [{"site": "hkg", "href": "/x"},
                         {"site": "lon", "href": "/y"}]}, 300))
        _, err = self.run_it("keypair", "show", "mine", code=1)
        self.assertIn("hkg, lon", err)
        self.assertIn("--site", err)

    def test_perhaps_where_nobody_answers(self):
        lon = {"site": "lon", "state": "failed", "reason": "absent"}
        self.hub.answer("/api/v1/servers/x", problem(
            503, "unreachable", "Not every site answered", "perhaps", [lon]))
        self.hub.answer("/api/v1/servers", page([]))
        _, err = self.run_it("server", "show", "x", code=3)
        self.assertIn("site lon: absent", err)
        self.hub.answer("/api/v1/servers", page(
            [server(1, "hkg")],
            [("hkg", "answered", None), ("lon", "failed", "absent")]))
        out, err = self.run_it("server", "show", "x", "-f", "value", "-c",
                               "id", code=5)
        self.assertEqual((out, err), ("id-1\n", "site lon: absent\n"))


class Faults(Case):
    def check(self, answer, code, *texts):
        self.hub.answer("/api/v1/servers", answer)
        out, err = self.run_it("server", "list", code=code)
        self.assertEqual(out, "")
        for text in texts:
            self.assertIn(text, err)

    def test_problems(self):
        lon = {"site": "lon", "state": "failed", "reason": "no answer"}
        for status, code in ((400, 1), (401, 4), (403, 4), (404, 1), (405, 1),
                             (414, 1), (429, 1), (431, 1), (500, 1), (502, 3),
                             (503, 3), (504, 3)):
            self.check(problem(status, "code", "Title", "Detail\x1b[m.",
                               [lon]), code, "Title: Detail\\x1b[m.",
                       "(%d)" % status, "site lon: no answer\n")
        self.check(Reply(b"<html>", 502), 3, "the hub answered 502")
        self.check(problem(401, "c", "T", "D"), 4, "ISTHMUS_TOKEN")

    def test_odd_answers(self):
        for body in (b"", b"[]", b"{", b"null", b'{"items": 1}', b"{}",
                     b'{"items": []', b"\xff" * 100, b"[" * 5000,
                     b'{"a":' * 5000):
            self.check(Reply(body), 1, "not JSON as agreed")
        for items in ([1, None, "x", [], {}],):
            self.hub.answer("/api/v1/servers", {"items": items, "sites": [
                1, {}, {"site": 1, "state": 2}, {"site": "a"}], "next": None})
            self.run_it("server", "list")
        self.check(Reply({}, 302, {"Location": "http://example.com/"}), 1,
                   "302")

    def test_one_odd_site_does_not_hide_the_others(self):
        self.hub.answer("/api/v1/servers", Reply(
            b'{"items":[{"id":"good","site":"hkg"},{"id":"\\ud800","x":1e999,'
            b'"y":99999999999999999999,"k\\u0000":1,"site":"lon\xff"}],'
            b'"next":null}'))
        out, _ = self.run_it("server", "list", "-f", "value", "-c", "ID",
                             "-c", "Site")
        self.assertEqual(out, "good hkg\n\ufffd lon\ufffd\n")

    def test_cut_short(self):
        def cut(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n"
                                b"\r\n{\"items\": [")
        self.check(cut, 3)

    def test_no_http(self):
        def garble(handler):
            handler.wfile.write(b"220 smtp.example.com ESMTP\r\n")
        self.check(garble, 3)

    def test_too_large(self):
        def endless(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while not self.hub.stopping.is_set():
                    handler.wfile.write(b" " * (1 << 20))
            except OSError:
                pass
        self.check(endless, 1, "larger than 64 MiB")

    def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.env["ISTHMUS_URL"] = "http://127.0.0.1:%d" % \
                taken.getsockname()[1]
            self.assertIn("hub http://127.0.0.1",
                          self.run_it("server", "list", code=3)[1])
        self.env["ISTHMUS_URL"] = "http://hub.invalid"
        self.assertIn("resolve", self.run_it("server", "list", code=3)[1])

    def test_slow(self):
        self.hub.answer("/api/v1/servers", Reply({}, delay=60))
        begun = time.monotonic()
        _, err = self.run_it("server", "list", "--deadline", "100ms", code=3)
        self.assertIn("no answer in time", err)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertNotIn("waiting", err)

    def test_addresses(self):
        for url in ("", "nonsense", "ftp://x/", "http://", "file:///etc",
                    "http://user:pw@localhost/", "http://localhost/?x=1",
                    "http://local host/"):
            self.env["ISTHMUS_URL"] = url
            _, err = self.run_it("server", "list", code=2)
            self.assertNotIn("pw", err)
        del self.env["ISTHMUS_URL"]
        self.assertIn("ISTHMUS_URL", self.run_it("server", "list", code=2)[1])
        self.run_it("server", "list", "--url", self.hub.url + "/")
        self.env["ISTHMUS_URL"] = "http://hub.invalid"
        self.assertIn("in clear", self.run_it("server", "list", code=3)[1])

    def test_prefix_of_the_address(self):
        self.hub.answer("/hub/api/v1/servers", page([server(1, "hkg")]))
        self.run_it("server", "list", "--url", self.hub.url + "/hub//")

    def test_json_whatever_happens(self):
        for words, code in ((["server", "list", "--limit", "0"], 2),
                            (["nonsense"], 2), (["flavor", "list"], 1)):
            out, err = self.run_it(*words, "-f", "json", code=code)
            if code == 2 and not out:
                continue
            said = json.loads(out)
            self.assertEqual(said["exit"], code)
            self.assertIn(said["error"], err)
        self.env["ISTHMUS_URL"] = "http://hub.invalid"
        out, _ = self.run_it("server", "list", "-f", "json", code=3)
        self.assertEqual(json.loads(out)["exit"], 3)


class Tokens(Case):
    def test_from_a_file(self):
        del self.env["ISTHMUS_TOKEN"]
        with tempfile.NamedTemporaryFile() as file:
            file.write(TOKEN.encode() + b"\n")
            file.flush()
            self.env["ISTHMUS_TOKEN_FILE"] = file.name
            self.assertEqual(self.run_it("server", "list")[1], "")
            self.assertEqual(self.hub.requests[-1][1]["Authorization"],
                             "Bearer " + TOKEN)
            os.chmod(file.name, 0o644)
            self.assertIn("can be read by others",
                          self.run_it("server", "list")[1])
        _, err = self.run_it("server", "list", code=2)
        self.assertIn("No such file", err)

    def test_none(self):
        del self.env["ISTHMUS_TOKEN"]
        self.run_it("server", "list")
        self.assertNotIn("Authorization", self.hub.requests[-1][1])

    def test_bad(self):
        for token in ("a\r\nX-Evil: 1", "a b", "\u00e9", "x" * 9000):
            self.env["ISTHMUS_TOKEN"] = token
            _, err = self.run_it("server", "list", code=2)
            self.assertNotIn("Evil", err)
        self.assertEqual(self.hub.requests, [])

    def test_debug_shows_a_hash(self):
        _, err = self.run_it("server", "list", "--debug")
        import hashlib
        self.assertIn("{SHA256}" + hashlib.sha256(TOKEN.encode()).hexdigest(),
                      err)
        self.assertIn("RESP: [200]", err)
        self.assertIn("RESP BODY: {", err)

    def test_timing(self):
        _, err = self.run_it("server", "list", "--timing")
        self.assertRegex(err, r"GET /api/v1/servers\S*: \d\.\d{3} s\n")
        self.assertIn("site hkg: answered after 45 ms\n", err)

    def test_not_in_the_process_list(self):
        self.hub.answer("/api/v1/servers", Reply({}, delay=60))
        run = subprocess.Popen([PROGRAM, "server", "list"], env=self.env,
                               stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.3)
            with open("/proc/%d/cmdline" % run.pid, "rb") as file:
                self.assertNotIn(TOKEN.encode(), file.read())
        finally:
            run.kill()
            run.wait()


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.pem = os.path.join(cls.folder.name, "both.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", cls.pem, "-out",
             cls.pem + ".crt"], check=True, capture_output=True)
        with open(cls.pem, "a") as out, open(cls.pem + ".crt") as certificate:
            out.write(certificate.read())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        super().setUp()
        self.tls = self.enterContext(FakeHub(self.pem))
        self.tls.answer("/api/v1/servers", page([server(1, "hkg")]))
        self.env["ISTHMUS_URL"] = self.tls.url

    def test_trusted(self):
        self.env["ISTHMUS_CACERT"] = self.pem + ".crt"
        self.run_it("server", "list")
        del self.env["ISTHMUS_CACERT"]
        self.run_it("server", "list", "--cacert", self.pem + ".crt")

    def test_not_trusted(self):
        _, err = self.run_it("server", "list", code=3)
        self.assertIn("certificate", err)
        self.assertEqual(self.tls.requests, [])

    def test_another_name(self):
        self.env["ISTHMUS_CACERT"] = self.pem + ".crt"
        self.env["ISTHMUS_URL"] = self.tls.url.replace("localhost",
                                                       "127.0.0.1")
        _, err = self.run_it("server", "list", code=3)
        self.assertIn("subject", err)
        self.assertEqual(self.tls.requests, [])

    def test_no_such_file(self):
        self.run_it("server", "list", "--cacert", "/nowhere", code=2)

    def test_no_tls_there(self):
        self.env["ISTHMUS_URL"] = self.hub.url.replace("http:", "https:")
        self.run_it("server", "list", code=3)


class Streams(Case):
    def test_reader_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        run = subprocess.run([PROGRAM, "server", "list"], env=self.env,
                             stdout=writing, stderr=subprocess.PIPE,
                             check=False)
        os.close(writing)
        self.assertEqual((run.returncode, run.stderr), (1, b""))

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            run = subprocess.run([PROGRAM, "server", "list"], env=self.env,
                                 stdout=full, stderr=subprocess.PIPE,
                                 check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"No space left", run.stderr)

    def test_closed(self):
        for close in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            run = subprocess.run(
                ["sh", "-c", 'exec "$0" server list ' + close, PROGRAM],
                env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                check=False)
            self.assertEqual(run.returncode, 1 if ">&- " in close + " " and
                             not close.startswith("2") else 0,
                             (close, run.stderr))
            if run.returncode == 0:
                self.assertIn(b"id-1", run.stdout)

    def test_huge_and_binary_input(self):
        self.run_it("server", "list", input=b"\0\xff" * 100000)

    def test_little_memory(self):
        """A hub that sends more than fits ends it cleanly."""
        with open(PROGRAM, "rb") as file:
            if b"__asan_init" in file.read():
                self.skipTest("the sanitizer needs the address space")
        self.hub.answer("/api/v1/servers", page(
            [server(n, "hkg", name="x" * 500) for n in range(20000)]))
        limit = 60 << 20
        run = subprocess.run(
            [PROGRAM, "server", "list"], env=self.env, capture_output=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                  (limit, limit)),
            check=False)
        self.assertIn(run.returncode, (0, 1))

    def test_hostile_names(self):
        evil = "\x1b]0;x\x07\x1b[2J\r\n\x9b31m\u202e\x00\x7f\u2028end"
        self.hub.answer("/api/v1/servers", page(
            [server(1, "hkg", name=evil, status=evil,
                    addresses={evil: [{"addr": evil}]})],
            [(evil, "failed", evil), ("hkg", "stale", evil)]))
        self.hub.answer("/api/v1/servers/1", server(
            1, "hkg", **{"name": evil, evil: evil, "list": [{evil: evil}]}))
        for words, forms, code in (
                (["server", "list"], "table json csv value yaml", 5),
                (["server", "list", "--max-width", "40"], "table", 5),
                (["server", "list", "--debug"], "table", 5),
                (["server", "list", "--fields", "name,\u202e"], "table csv", 5),
                (["server", "show", "1"], "table json value yaml shell", 0)):
            for form in forms.split():
                out, err = self.run_it(*words, "-f", form, code=code)
                if form == "csv":
                    out = out.replace("\n", "")
                    allowed = ""
                self.assertIsNone(re.search(
                    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", out + err),
                    (words, form, out, err))


class Terminal(Case):
    def on_terminal(self, *words, wait=None, columns=80, **env):
        """What a terminal of so many columns gets; 'wait' is called with the
        process and the output so far until it returns True."""
        parent, child = pty.openpty()
        import fcntl
        import struct
        import termios
        fcntl.ioctl(child, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, columns, 0, 0))
        run = subprocess.Popen([PROGRAM, *words], stdin=child, stdout=child,
                               stderr=child, close_fds=True,
                               env=dict(self.env, TERM="xterm", **env))
        os.close(child)
        out, deadline = b"", time.monotonic() + 30
        while time.monotonic() < deadline:
            if select.select([parent], [], [], 0.1)[0]:
                try:
                    data = os.read(parent, 65536)
                except OSError:
                    break
                if not data:
                    break
                out += data
            if wait and wait(run, out):
                wait = None
        os.close(parent)
        return run.wait(10), out.decode()

    def test_colours(self):
        _, out = self.on_terminal("server", "list")
        self.assertIn("\x1b[32mACTIVE", out)
        self.assertIn("\x1b[31mERROR", out)
        for env in ({"NO_COLOR": "1"},):
            _, out = self.on_terminal("server", "list", **env)
            self.assertNotIn("\x1b", out)
        _, out = self.on_terminal("server", "list", "-f", "value")
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\x1b", self.run_it("server", "list")[0])

    def test_fit_width(self):
        self.hub.answer("/api/v1/servers", page(
            [server(1, "hkg", name="word " * 40)]))
        for columns in (20, 80, 200):
            _, out = self.on_terminal("server", "list", "-c", "ID", "-c",
                                      "Name", "--fit-width", columns=columns,
                                      NO_COLOR="1")
            self.assertLessEqual(max(len(line) for line in out.splitlines()),
                                 columns)
        _, out = self.on_terminal("server", "list", "-c", "Name",
                                  columns=20, NO_COLOR="1")
        self.assertEqual(len(out.splitlines()), 2)

    def test_waiting_line(self):
        self.hub.answer("/api/v1/servers", Reply(page([server(1, "hkg")]),
                                                 delay=2.5))
        code, out = self.on_terminal("server", "list", "-c", "ID")
        self.assertEqual(code, 0)
        waiting, _, rest = out.partition("\r")
        self.assertEqual(waiting, "waiting for sites\u2026")
        self.assertRegex(rest, r"^ +\rID")

    def test_no_waiting_line_when_quick(self):
        _, out = self.on_terminal("server", "list", "-c", "ID")
        self.assertNotIn("waiting", out)

    def test_interrupt(self):
        self.hub.answer("/api/v1/servers", Reply({}, delay=60))

        def interrupt(run, out):
            if b"waiting" not in out:
                return False
            run.send_signal(signal.SIGINT)
            return True
        code, out = self.on_terminal("server", "list", wait=interrupt)
        self.assertEqual(code, -signal.SIGINT)
        self.assertRegex(out, "\r +\r$")


class Completion(Case):
    def complete(self, line):
        """What bash would offer behind 'line'."""
        script = self.run_it("complete", "bash")[0]
        words = line.split(" ")
        ask = script + '\nCOMP_WORDS=(%s)\nCOMP_CWORD=%d\n_isthmus\n' \
            'printf "%%s\\n" "${COMPREPLY[@]}"\n' % (
                " ".join("'%s'" % word for word in words), len(words) - 1)
        folder = os.path.dirname(PROGRAM)
        run = subprocess.run(["bash", "-u", "-c", ask], capture_output=True,
                             env=dict(self.env, PATH=folder + ":" +
                                      self.env["PATH"]), check=False)
        self.assertEqual(run.stderr, b"")
        return run.stdout.decode().split()

    def test_bash(self):
        self.hub.answer("/api/v1/sites", {"items": [
            {"name": "hkg"}, {"name": "lon"}], "next": None})
        self.assertIn("floating-ip", self.complete("isthmus "))
        self.assertEqual(sorted(self.complete("isthmus serve")),
                         ["server", "server-group"])
        self.assertEqual(self.complete("isthmus server "), ["list", "show"])
        self.assertEqual(self.complete("isthmus server list -f "),
                         "table json csv value yaml shell".split())
        self.assertEqual(self.complete("isthmus server list --lim"),
                         ["--limit"])
        self.assertEqual(self.complete("isthmus -f json server l"), ["list"])
        self.assertEqual(self.complete("isthmus server list --site "),
                         ["hkg", "lon"])
        self.assertEqual(self.complete("isthmus site show l"), ["lon"])
        self.assertNotIn("--limit", self.complete("isthmus site list --"))
        self.assertIn("--long", self.complete("isthmus site list --"))
        self.assertEqual(self.complete("isthmus complete "),
                         ["bash", "zsh", "fish"])

    def script(self, shell):
        script = self.run_it("complete", shell)[0]
        self.assertIn("floating-ip", script)
        file = self.enterContext(tempfile.NamedTemporaryFile("w"))
        file.write(script)
        file.flush()
        if not shutil.which(shell):
            self.skipTest("no %s here" % shell)
        return file.name

    def test_zsh(self):
        subprocess.run(["zsh", "-n", self.script("zsh")], check=True)

    def test_fish(self):
        script = self.script("fish")
        for line, offered in (("serve", ["server", "server-group"]),
                              ("server l", ["list"]),
                              ("server list --lim", ["--limit"]),
                              ("server list --partial ", ["allow", "deny"])):
            run = subprocess.run(
                ["fish", "-N", "-c", 'source %s; complete -C "isthmus %s"'
                 % (script, line)], capture_output=True, check=True,
                env=dict(self.env, HOME=self.enterContext(
                    tempfile.TemporaryDirectory())))
            self.assertEqual([word.split("\t")[0] for word in
                              run.stdout.decode().splitlines()], offered)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
