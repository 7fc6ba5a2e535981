#!/usr/bin/python3
"""clang-format 14 leaves every source as it is. Exit 77 (skipped) where that
version is not installed: another one formats differently."""

import os
import shutil
import subprocess
import sys

import source

TOOL = "clang-format-14"
AT_ONCE = 50


def main(root):
    paths = source.files(root, source.FOLDERS + ("tests",))
    if not shutil.which(TOOL):
        print("%s is not installed" % TOOL)
        return 77
    faults = []
    for first in range(0, len(paths), AT_ONCE):
        some = [os.path.join(root, p) for p in paths[first:first + AT_ONCE]]
        run = subprocess.run([TOOL, "--dry-run", "--style=file", *some],
                             capture_output=True, text=True, check=True)
        faults += [line.split(": warning:")[0]
                   for line in run.stderr.splitlines() if "warning:" in line]
    return source.report(faults, len(paths), "places to format")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
