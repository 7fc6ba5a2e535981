#!/usr/bin/python3
"""What is shipped for Prometheus and Grafana is true: rules and dashboards
name only metrics and labels that the sources have, rules lead to sections of
isthmus-alarms(7), which has one for each type of alarm; and promtool, where it
is installed, finds nothing wrong with the rules, with their tests, and with
the names and helps of all metrics."""

import json
import os
import re
import shutil
import subprocess
import sys

import source

RULES = "deploy/prometheus/isthmus.rules.yml"
TESTS = "deploy/prometheus/isthmus.rules.test.yml"
BOARDS = "deploy/grafana/"
PAGE = "deploy/man/isthmus-alarms.7"

METRIC = re.compile(r'IST_(COUNTER|GAUGE|HISTOGRAM)\(\s*'
                    r'("[a-z0-9_]+"),\s*((?:"(?:\\.|[^"\\])*"\s*)+)'
                    r'((?:,\s*\w+)?(?:,\s*"\w+")*)\)')
STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
# Words of PromQL that look like names of metrics.
NAME = re.compile(r"\b((?:isthmus|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
TARGET = {"instance", "job"}  # Labels that Prometheus puts there.


class Metric:
    def __init__(self, kind, text, labels):
        self.kind = kind.lower()
        self.help = "".join(STRING.findall(text))
        self.labels = STRING.findall(labels)


def metrics_of(root):
    found = {}
    for path in source.files(root):
        for kind, name, text, labels in METRIC.findall(
                source.read(root, path)):
            found[name.strip('"')] = Metric(kind, text, labels)
    return found


def page_of(metrics):
    """A page of all of them, with a series each."""
    lines = []
    for name, metric in sorted(metrics.items()):
        labels = ",".join('%s="x"' % label for label in metric.labels)
        lines += ["# HELP %s %s" % (name, metric.help),
                  "# TYPE %s %s" % (name, metric.kind)]
        if metric.kind == "histogram":
            comma = "," if labels else ""
            lines += ['%s_bucket{%s%sle="+Inf"} 1' % (name, labels, comma),
                      "%s_sum{%s} 1" % (name, labels),
                      "%s_count{%s} 1" % (name, labels)]
        else:
            lines.append("%s{%s} 1" % (name, labels))
    return "\n".join(lines) + "\n"


def base_of(name, metrics):
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    if name not in metrics and short in metrics and \
            metrics[short].kind == "histogram":
        return short
    return name


def check_expression(where, text, metrics):
    for name, matchers in NAME.findall(text):
        metric = metrics.get(base_of(name, metrics))
        if not metric:
            yield "%s: there is no metric %s" % (where, name)
            continue
        for label in re.findall(r"(\w+)\s*(?:=|!)", matchers):
            if label not in set(metric.labels) | TARGET | {"le"}:
                yield "%s: %s has no label %s" % (where, name, label)


def strings(node):
    """All texts below a node of JSON, with the name of the member."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                yield key, value
            else:
                yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


def check_board(root, name, metrics):
    board = json.loads(source.read(root, BOARDS + name))
    n = 0
    for key, text in strings(board):
        if key in ("expr", "query"):
            n += key == "expr"
            yield from check_expression(name, text, metrics)
    if not n:
        yield "%s shows nothing" % name


def check_rules(root, metrics, sections):
    text = source.read(root, RULES)
    alerts = re.split(r"^\s+- alert: ", text, flags=re.M)[1:]
    tests = source.read(root, TESTS)
    yield from check_expression(RULES, re.sub(r"#.*", "", text), metrics)
    yield from check_expression(TESTS, tests, metrics)
    for alert in alerts:
        name = alert.split("\n")[0]
        link = re.search(r'runbook_url: "man:isthmus-alarms\(7\)#?([^"]*)"',
                         alert)
        if not link:
            yield "%s has no runbook" % name
        elif link.group(1) and link.group(1) not in sections:
            yield "%s: isthmus-alarms(7) has no %s" % (name, link.group(1))
    if not alerts:
        yield "%s has no alerts" % RULES


def check_sections(root, sections):
    text = source.read(root, "hub/events/alarm_rules.c")
    table = text.split("types[ALARM_TYPES]")[1].split("};")[0]
    types = re.findall(r'\[ALARM_\w+\] =\s*\{"([a-z-]+)"', table)
    for name in sorted(set(types) ^ set(sections)):
        yield "isthmus-alarms(7) and alarm_rules.c disagree on %s" % name
    if not types:
        yield "no types of alarms were found"


def promtool(*args, stdin=None):
    run = subprocess.run(["promtool", *args], input=stdin, text=True,
                         capture_output=True, check=False)
    if run.returncode:
        yield "promtool %s: %s" % (" ".join(args[:2]),
                                   (run.stdout + run.stderr).strip())


def main(root):
    metrics = metrics_of(root)
    sections = re.findall(r"^\.Ss ([a-z-]+)$", source.read(root, PAGE), re.M)
    boards = sorted(os.listdir(os.path.join(root, BOARDS)))
    faults = list(check_sections(root, sections))
    faults += check_rules(root, metrics, sections)
    for name in boards:
        faults += check_board(root, name, metrics)
    if shutil.which("promtool"):
        faults += promtool("check", "rules", os.path.join(root, RULES))
        faults += promtool("test", "rules", os.path.join(root, TESTS))
        faults += promtool("check", "metrics", stdin=page_of(metrics))
    return source.report(faults, len(metrics), "untruths about metrics")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
