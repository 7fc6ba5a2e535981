"""As much of JSON Schema as the hub's OpenAPI document uses: enough to say
where an answer is not what is documented."""

import datetime
import re
import uuid

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int)
    and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float))
    and not isinstance(value, bool),
}
KNOWN = {"$ref", "type", "required", "properties", "additionalProperties",
         "items", "enum", "const", "pattern", "minimum", "maximum",
         "minItems", "maxItems", "minLength", "maxLength", "format", "allOf",
         "description", "example", "default", "uniqueItems"}


def complaints(document, schema, value, where="answer"):
    """What is wrong, as sentences; nothing: it fits."""
    while "$ref" in schema:
        assert schema["$ref"].startswith("#/")
        found = document
        for name in schema["$ref"][2:].split("/"):
            found = found[name]
        schema = found
    unknown = set(schema) - KNOWN
    assert not unknown, "this validator does not know %s" % unknown
    found = list(_simple(schema, value, where))
    for part in schema.get("allOf", []):
        found += complaints(document, part, value, where)
    if isinstance(value, dict):
        for name in schema.get("required", []):
            if name not in value:
                found.append("%s has no '%s'" % (where, name))
        for name, part in schema.get("properties", {}).items():
            if name in value:
                found += complaints(document, part, value[name],
                                    "%s.%s" % (where, name))
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            found += complaints(document, schema["items"], item,
                                "%s[%d]" % (where, i))
    return found


def _simple(schema, value, where):
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(TYPES[name](value) for name in types):
        yield "%s is %r, not %s" % (where, value, " or ".join(types))
        return
    if "enum" in schema and value not in schema["enum"]:
        yield "%s is %r, not one of %s" % (where, value, schema["enum"])
    if "const" in schema and value != schema["const"]:
        yield "%s is %r, not %r" % (where, value, schema["const"])
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield "%s is %r, not like %s" % (where, value, schema["pattern"])
        if not _has_format(schema.get("format"), value):
            yield "%s is %r, no %s" % (where, value, schema["format"])
        size, least, most = len(value), "minLength", "maxLength"
    elif isinstance(value, list):
        size, least, most = len(value), "minItems", "maxItems"
    else:
        size, least, most = value, "minimum", "maximum"
    if least in schema and size is not None and size < schema[least]:
        yield "%s is below %s" % (where, schema[least])
    if most in schema and size is not None and size > schema[most]:
        yield "%s is above %s" % (where, schema[most])


def _has_format(name, value):
    try:
        if name == "uuid":
            return str(uuid.UUID(value)) == value
        if name == "date-time":
            datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            return value.endswith("Z")
    except ValueError:
        return False
    return True
