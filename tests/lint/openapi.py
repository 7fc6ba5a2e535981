#!/usr/bin/python3
"""The three lists of kinds agree: lib/model/kind.c, hub/api/openapi.json and
hub/cli/kind.c. References of the document lead somewhere, and every answer
of an error is a problem document. (That its paths, parameters and statuses
are those of the code is tests/unit/api/test_openapi.c.)"""

import json
import re
import sys

import source


def lookup(document, pointer):
    at = document
    for part in pointer[2:].split("/"):
        at = at[part]
    return at


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def problems(document):
    """Answers of 400 and above that are no problem document."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                if "$ref" in answer:
                    answer = lookup(document, answer["$ref"])
                if status >= "4" and "application/problem+json" not in \
                        answer.get("content", {}):
                    yield "%s %s: %s is no problem document" \
                        % (method, path, status)


def main(root):
    document = json.loads(source.read(root, "hub/api/openapi.json"))
    faults = list(problems(document))
    for reference in references(document):
        try:
            lookup(document, reference)
        except (KeyError, TypeError):
            faults.append("nothing at %s" % reference)
    model = re.findall(r'\.plural = "([a-z-]+)"',
                       source.read(root, "lib/model/kind.c"))
    shown = re.findall(r'^    \{"[a-z-]+", (?:NULL|"[a-z-]+"), "([a-z-]+)"',
                       source.read(root, "hub/cli/kind.c"), re.M)
    said = document["components"]["schemas"]["Kind"]["enum"]
    if not model or sorted(model) != sorted(said):
        faults.append("kinds of openapi.json differ from the model's: %s"
                      % sorted(set(model) ^ set(said)))
    if sorted(model + ["sites"]) != sorted(shown):
        faults.append("kinds of hub/cli differ from the model's: %s"
                      % sorted(set(model + ["sites"]) ^ set(shown)))
    return source.report(faults, 3, "disagreements")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
