#!/usr/bin/python3
"""The lints find what they are for: each is shown a small tree with one fault
in it, and must say so; then the same tree without."""

import contextlib
import io
import os
import sys
import tempfile

import calls
import format as clang_format
import layers

CLEAN = {
    "lib/base/a.c": '#include "base/a.h"\n\nint a(void);\n',
    "lib/base/clock.c": "int now(void)\n{\n    return clock_gettime();\n}\n",
    "lib/bus/amqp_wire.c": "#include <amqp.h>\n",
    "hub/api/b.c": '#include "survey/b.h"\n#include "isthmus/v1/call.pb-c.h"\n',
    "agent/main.c": '#include "serve/table.h"\n',
    "agent/os/vx/deep.c": '#include "os/rows.h"\n',
    "lib/io/says.c": '/* usleep() is not for us. */\n'
                     'const char *t = "time(0) \\" rand(";\n'
                     "int x = a->time(1) + b.rand(2) + mytime(3);\n",
}

FAULTS = [
    (layers, "lib/base/b.c", '#include "io/loop.h"\n'),
    (layers, "lib/io/b.c", '# include "bus/bus.h"\n'),
    (layers, "lib/codec/b.c", '#include "io/loop.h"\n'),
    (layers, "agent/os/b.c", '#include "policy/policy.h"\n'),
    (layers, "agent/os/vx/b.c", '#include "serve/serve.h"\n'),
    (layers, "hub/cli/b.c", '#include "survey/survey.h"\n'),
    (layers, "hub/sites/b.c", '#include "api/api.h"\n'),
    (layers, "hub/survey/b.c", '#include "os/rows.h"\n'),
    (layers, "hub/b.c", '#include "cli/cli.h"\n'),
    (layers, "lib/nowhere/b.c", "int x;\n"),
    (layers, "lib/bus/bus.c", "#include <amqp.h>\n"),
    (layers, "hub/hub.c", '#include "rabbitmq-c/amqp_framing.h"\n'),
    (calls, "lib/io/b.c", "int x = time(0);\n"),
    (calls, "lib/io/b.c", "int x = (usleep) + usleep (3);\n"),
    (calls, "lib/base/rand.c", "int x = clock_gettime(1, 2);\n"),
    (calls, "lib/base/clock.c", "int x = rand();\n"),
    (calls, "hub/b.c", "int x = randombytes_uniform(4);\n"),
    (calls, "hub/b.c", "/* a */ strcpy(a, b); /* c */\n"),
    (calls, "hub/b.c", '"\\"", system("x");\n'),
    (calls, "hub/b.c", "/* %s: later */\n" % "TODO"),
    (clang_format, "lib/io/b.c", "int  x ;\n"),
]


def lint(module, tree):
    with tempfile.TemporaryDirectory() as root:
        for path, text in tree.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)),
                        exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                out.write(text)
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                return module.main(root)
            except SystemExit as leaving:
                return 1 if leaving.code else 0


def main():
    failed = 0
    for module in (layers, calls):
        if lint(module, CLEAN) != 0:
            print("%s: faults in a clean tree" % module.__name__)
            failed += 1
    for module in (layers, calls, clang_format):
        if lint(module, {"README": ""}) != 1:
            print("%s: content with no files at all" % module.__name__)
            failed += 1
    for module, path, text in FAULTS:
        tree = {} if module is clang_format else dict(CLEAN)
        tree[path] = text
        if lint(module, tree) not in (1, 77):
            print("%s: missed %r in %s" % (module.__name__, text, path))
            failed += 1
    print("%d trees, %d misjudged" % (len(FAULTS) + 5, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
