#!/usr/bin/python3
"""The machine formats of "isthmus" against cliff itself, byte for byte, over
values that are hard to write: cliff's own formatters print the same rows that
a hub served. Exit 77 (skipped) where cliff is not installed.

    cli_cliff.py PROGRAM [SEED]"""

import argparse
import io
import os
import random
import subprocess
import sys

try:
    from cliff.formatters import (commaseparated, json_format, value,
                                  yaml_format)
except ImportError:
    sys.exit(77)

from fake_hub import FakeHub, page

TEXTS = [
    "", " ", "web-1", "a b", " lead", "trail ", "a,b", 'q"q', "q'q", "\"'",
    "back\\slash", "\\", "\\n", "a: b", "a:b", "key:", ": x", "# c", "a #b",
    "-", "- a", "--", "---", "--- a", "...", "?", "? a", "!", "!t", "&", "&a",
    "*", "*a", "@a", "`a", "%a", "|", ">", "[", "]", "{", "}", "[a]", "{a}",
    ",", "=", "<<", "~", "null", "Null", "NULL", "nUll", "true", "True", "TRUE",
    "tRue", "yes", "Yes", "no", "NO", "on", "On", "OFF", "y", "n", "0", "1",
    "-1", "+1", "01", "08", "0x1f", "0b10", "0o7", "1_000", "1:30", "1:99",
    "1.", ".5", "-.5", "1.5", "1e3", "1.e3", "1.0e+3", "1.5e+3", ".5e-3",
    ".inf", "-.INF", "+.Inf", ".nan", ".NaN", ".Nan", "1:30.5", "2026-11-25",
    "2026-1-2", "2026-11-25T08:00:00Z", "2026-11-25 08:00:00",
    "2026-11-25t8:00:00.5 +1:00", "2026-11-25T08:00", "None", "1.2.3",
    "10.0.0.1", "fe80::1", "00:16:3e:aa:bb:cc", "caf\u00e9", "\u65e5\u672c",
    "\U0001f600", "e\u0301", "a\u00a0b", "a\u3000b", "\u00ad", "word " * 30,
    "x" * 200, "a  b   c " * 20, "\u00e9 " * 60, "it's " * 40,
    "0b5f4a7e-5c0e-4d6e-9e5d-000000000001", "1,2", "a;b", "a\tb", "\t",
    "tab\tat: end\t", "'", "''", '"', '""', "'a'", '"a"', "a'", "{'a': 1}",
]
LINES = ["a\nb", "\n", "a\n", "\na", "a\n\nb", "a \n b", "a: b\n- c", "\n\n"]
KEYS = ["", "a", "b c", "true", "1", "k:", "caf\u00e9", "x" * 130, "it's", "-"]
NUMBERS = [0, 1, -1, 10**18, -2**63, 2**63 - 1, 0.0, -0.0, 1.0, 1.5, -2.25,
           0.1, 1e15, 1e16, 1.5e16, 1e-4, 1e-5, 1.5e-5, 1e100, 5e-324,
           1.7976931348623157e308, 123456789.123, 1 / 3, 1e22, True, False,
           None]


def value_of(rng, texts, depth=0):
    kind = rng.random()
    if depth < 3 and kind < 0.12:
        return [value_of(rng, texts, depth + 1)
                for _ in range(rng.randrange(4))]
    if depth < 3 and kind < 0.24:
        return {rng.choice(KEYS): value_of(rng, texts, depth + 1)
                for _ in range(rng.randrange(4))}
    if kind < 0.4:
        return rng.choice(NUMBERS)
    return rng.choice(texts)


COLUMNS = ["id", "name", "a b", "it's", "caf\u00e9", "yes", "no,yes"]
FORMATS = [("json", json_format.JSONFormatter, TEXTS + LINES, []),
           ("json", json_format.JSONFormatter, TEXTS + LINES, ["--noindent"]),
           ("yaml", yaml_format.YAMLFormatter, TEXTS + LINES, []),
           ("value", value.ValueFormatter, TEXTS, [])]
FORMATS += [("csv", commaseparated.CSVLister, TEXTS + LINES,
             ["--quote", mode])
            for mode in ("nonnumeric", "all", "minimal", "none")]


def cliff(formatter, columns, rows, options, one):
    args = argparse.Namespace(noindent="--noindent" in options,
                              quote_mode=options[-1] if options else None)
    out = io.StringIO()
    if one:
        formatter().emit_one(columns, rows[0], out, args)
    else:
        formatter().emit_list(columns, rows, out, args)
    return out.getvalue()


def isthmus(program, hub, *words):
    env = dict(os.environ, ISTHMUS_URL=hub.url, ISTHMUS_TOKEN="t")
    run = subprocess.run([program, *words], env=env, capture_output=True,
                         check=False)
    if run.returncode or run.stderr:
        sys.exit("%s: %d %s" % (words, run.returncode, run.stderr.decode()))
    return run.stdout.decode()


def compare(what, ours, theirs):
    if ours == theirs:
        return 0
    for mine, its in zip(ours.splitlines(True) + [""],
                         theirs.splitlines(True) + [""]):
        if mine != its:
            print("%s\n  ours  %r\n  cliff %r" % (what, mine, its))
            break
    return 1


def rounds(program, hub, rng, form, formatter, texts, options):
    failed = 0
    # Every text once for sure, then mixtures.
    tables = [[[text, i] for i, text in enumerate(texts + NUMBERS)]]
    tables += [[[value_of(rng, texts) for _ in COLUMNS]
                for _ in range(rng.randrange(12))] for _ in range(12)]
    for rows in tables:
        columns = COLUMNS[:len(rows[0])] if rows else COLUMNS
        if form == "csv" and "none" in options:
            columns = [c for c in columns if c != ""]
        items = [dict(zip(columns, row), site="hkg") for row in rows]
        hub.answer("/api/v1/servers", page(items))
        wanted = columns[:]
        words = ["--fields", ",".join(c for c in wanted if "," not in c)]
        keep = [i for i, c in enumerate(wanted) if "," not in c]
        shown = [[row[i] for i in keep] + ["hkg"] for row in rows]
        titles = [wanted[i] for i in keep] + ["Site"]
        failed += compare(
            "%s %s list" % (form, options),
            isthmus(program, hub, "server", "list", "-f", form, *words,
                    *options),
            cliff(formatter, titles, shown, options, False))
        if form == "csv" or not rows:
            continue
        hub.answer("/api/v1/servers/x", items[0])
        titles, fields = zip(*sorted(items[0].items()))
        failed += compare(
            "%s %s show" % (form, options),
            isthmus(program, hub, "server", "show", "x", "-f", form, *options),
            cliff(formatter, titles, [fields], options, True))
    return failed, 2 * len(tables)


def main(program, seed):
    rng = random.Random(seed)
    print("seed %d" % seed)
    failed = total = 0
    with FakeHub() as hub:
        for form, formatter, texts, options in FORMATS:
            bad, n = rounds(program, hub, rng, form, formatter, texts, options)
            failed += bad
            total += n
    print("%d outputs, %d differ" % (total, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1],
                  int(sys.argv[2]) if len(sys.argv) > 2 else 20261125))
