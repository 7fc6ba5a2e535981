"""What the lints share: the C sources of a tree, and their code without
comments and strings."""

import os
import re
import sys

FOLDERS = ("lib", "agent", "hub")


def files(root, folders=FOLDERS, ends=(".c", ".h")):
    """Paths relative to 'root', sorted. A lint that finds none has failed."""
    found = []
    for folder in folders:
        for where, _, names in os.walk(os.path.join(root, folder)):
            found += [os.path.relpath(os.path.join(where, name), root)
                      for name in names if name.endswith(ends)]
    if not found:
        sys.exit("no files found below %s" % root)
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
                   r"|'(?:\\.|[^'\\\n])*'", re.S)


def code(text):
    """The text with comments and literals blanked; lines stay where they
    were."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def report(faults, n_files, what):
    for fault in faults:
        print(fault)
    print("%d files, %d %s" % (n_files, len(faults), what))
    return 1 if faults else 0
