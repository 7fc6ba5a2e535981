#!/usr/bin/python3
"""Calls that have one home or none. Time comes from the loop's clock and
chance from base/rand, or the simulation is not one; the others are banned for
what they do to memory or to the shell."""

import re
import sys

import source

RULES = [
    ("time is the loop's clock, or base/clock",
     r"time|gettimeofday|clock_gettime|clock|uv_hrtime|uv_now|ftime|"
     r"timespec_get", {"lib/base/clock.c"}),
    ("waiting is the loop's",
     r"sleep|usleep|nanosleep|clock_nanosleep|uv_sleep", set()),
    ("chance comes from base/rand",
     r"rand|srand|rand_r|random|srandom|drand48|lrand48|getrandom|getentropy|"
     r"arc4random\w*|randombytes\w*|RAND_bytes|uv_random",
     {"lib/base/rand.c"}),
    ("no bound on what it writes",
     r"strcpy|sprintf|vsprintf|gets|alloca", set()),
    ("gives no error", r"atoi|atol|atoll|atof", set()),
    ("hidden state", r"strtok|gmtime|localtime|ctime|asctime", set()),
    ("runs a shell", r"system|popen", set()),
]

# A call, not a member: "->time (" and ".time (" are somebody's field.
CALLS = [(why, re.compile(r"(?<![\w.>])(%s)\s*\(" % names), homes)
         for why, names, homes in RULES]
LATER = re.compile(r"\b(TODO|FIXME|XXX)\b")


def faults_of(path, text):
    faults = []
    code = source.code(text)
    for why, pattern, homes in CALLS:
        if path in homes:
            continue
        for match in pattern.finditer(code):
            faults.append("%s:%d: %s(): %s"
                          % (path, code.count("\n", 0, match.start()) + 1,
                             match.group(1), why))
    for match in LATER.finditer(text):
        faults.append("%s:%d: %s: do it, or leave it out"
                      % (path, text.count("\n", 0, match.start()) + 1,
                         match.group(1)))
    return faults


def main(root):
    paths = source.files(root)
    faults = [fault for path in paths
              for fault in faults_of(path, source.read(root, path))]
    return source.report(faults, len(paths), "calls out of place")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
