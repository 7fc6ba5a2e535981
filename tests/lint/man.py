#!/usr/bin/python3
"""The man pages are true: they name every option, noun, word and setting that
the sources have, with its default, and none that they have not; and mandoc
finds nothing wrong with them (where it is installed)."""

import os
import re
import shutil
import subprocess
import sys

import source

PAGES = "deploy/man/"

# Pages of settings, and whose rows they list.
SETTINGS = {
    "isthmus-agent.yaml.5": ("agent/", "lib/bus/"),
    "isthmus-hub.yaml.5": ("hub/", "lib/bus/", "lib/httpd/"),
}
# Pages of daemons, and the sources of their command lines.
DAEMONS = {
    "isthmus-agent.8": ("agent/main.c", "agent/keys/command.c",
                        "lib/base/program.c", "lib/conf/start.c"),
    "isthmus-hub.8": ("hub/main.c", "hub/admin/setup.c",
                      "hub/admin/verbs.c", "hub/admin/topology_command.c",
                      "lib/base/program.c", "lib/conf/start.c"),
}

ROWS = re.compile(r"struct ist_row \w+\[\] = \{(.*?)IST_ROW_END", re.S)
ROW = re.compile(r'\{"([a-z_.-]+)",\s*IST_ROW_\w+,\s*\w+\([^()]*\),\s*'
                 r'(NULL|"[^"]*")')


def settings_of(root, folders):
    found = {}
    for path in source.files(root):
        if not path.startswith(folders):
            continue
        for table in ROWS.findall(source.read(root, path)):
            for name, default in ROW.findall(table):
                found[name] = "" if default == "NULL" else default.strip('"')
    return found


def settings_in(page):
    """Name and default of each setting that a page describes."""
    parts = page.split("\n.Sh SETTINGS\n")[1].split("\n.Sh ")[0]
    found = {}
    for item in parts.split("\n.It Ic ")[1:]:
        default = re.search(r"^Default: (.*)\.$", item, re.M)
        found[item.split()[0]] = default.group(1) if default else ""
    return found


def compare(where, wanted, found):
    for name in sorted(set(wanted) | set(found)):
        if name not in found:
            yield "%s does not say %s" % (where, name)
        elif name not in wanted:
            yield "%s says %s, which is not there" % (where, name)
        elif wanted[name] != found[name]:
            yield "%s: %s is '%s', not '%s'" % (where, name, wanted[name],
                                                found[name])


def long_options(page):
    return dict.fromkeys(re.findall(r"\bFl -([a-z-]+)", page), "")


def check_daemon(root, where, page):
    text = "".join(source.read(root, path) for path in DAEMONS[where])
    wanted = dict.fromkeys(
        re.findall(r'\{"([a-z-]+)",\s*(?:no|required)_argument', text) +
        re.findall(r'^    \{"--([a-z]+)",', text, re.M), "")
    yield from compare(where, wanted, long_options(page))
    for word in re.findall(r'^    \{"([a-z]+)", \w+_command,', text, re.M):
        if not re.search(r"^\.It Cm %s\b" % word, page, re.M):
            yield "%s does not say %s" % (where, word)


def check_client(root, where, page):
    args = source.read(root, "hub/cli/args.c")
    table = args.split("cli_options[] = {")[1].split("{NULL,")[0]
    options = re.findall(r'^    \{"([a-z-]+)", (?:0|\'(.)\'),', table, re.M)
    wanted = {name: letter for name, letter in options}
    found = {name: letter for letter, name in re.findall(
        r"^\.It (?:Fl (\w) , )?Fl -([a-z-]+)", page, re.M)}
    yield from compare(where, wanted, found)
    nouns = re.findall(r'^    \{"([a-z-]+)", (?:NULL|"[a-z-]+"), "',
                       source.read(root, "hub/cli/kind.c"), re.M)
    said = re.findall(r"^\.It Cm (.*)$", page.split(".Sh NOUNS")[1]
                      .split(".Sh ")[0], re.M)
    yield from compare(where, dict.fromkeys(n.replace("-", " ")
                                            for n in nouns),
                       dict.fromkeys(said))


def check_mandoc(root, names):
    if not shutil.which("mandoc"):
        return
    # What it thinks of the date and of pages that are not installed depends
    # on the machine.
    run = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style"] +
        [os.path.join(root, PAGES, name) for name in names],
        capture_output=True, text=True, check=False)
    for line in run.stdout.splitlines():
        if "referenced manual not found" not in line:
            yield line


def main(root):
    names = sorted(os.listdir(os.path.join(root, PAGES)))
    faults = list(check_mandoc(root, names))
    for name in names:
        page = source.read(root, PAGES + name)
        if name in SETTINGS:
            wanted = settings_of(root, SETTINGS[name])
            faults += compare(name, wanted, settings_in(page))
        elif name in DAEMONS:
            faults += check_daemon(root, name, page)
        elif name == "isthmus.1":
            faults += check_client(root, name, page)
        elif not name.endswith(".7"):  # Those are checked by others.
            faults.append("%s: nothing is known about this page" % name)
    for name in set(SETTINGS) | set(DAEMONS) | {"isthmus.1"}:
        if name not in names:
            faults.append("%s is missing" % name)
    return source.report(faults, len(names), "untruths")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
