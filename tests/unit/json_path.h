/* Looking into an answer: "items.0.name". */
#ifndef UNIT_JSON_PATH_H
#define UNIT_JSON_PATH_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL: there is nothing. Borrowed. */
static inline json_t *json_path(json_t *value, const char *path)
{
    char part[32];

    while (*path) {
        size_t len = strcspn(path, ".");

        snprintf(part, sizeof(part), "%.*s", (int) len, path);
        value = json_is_array(value)
                    ? json_array_get(value, (size_t) atoi(part))
                    : json_object_get(value, part);
        path += len + (path[len] == '.');
    }
    return value;
}

#endif
