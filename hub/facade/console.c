#include "facade/console.h"

#include "base/scope.h"
#include "codec/json.h"

#include <string.h>

static const char *const actions[] = {"os-getVNCConsole", "os-getSPICEConsole",
                                      "os-getSerialConsole", "os-getRDPConsole",
                                      "os-getMKSConsole"};

/* Does the path end so, whatever query is behind it? */
static bool ends_with(const char *target, const char *word)
{
    size_t len = strcspn(target, "?"), n = strlen(word);

    while (len > 0 && target[len - 1] == '/')
        len--;
    return len >= n && memcmp(target + len - n, word, n) == 0;
}

bool facade_is_console(const char *method, const char *target, const void *body,
                       size_t size)
{
    struct ist_json_slice document = {body, size};

    if (strcmp(method, "POST") != 0)
        return false;
    if (ends_with(target, "/remote-consoles"))
        return true;
    if (!ends_with(target, "/action"))
        return false;
    for (size_t i = 0; i < IST_COUNT(actions); i++) {
        if (ist_json_find(document, actions[i]).data)
            return true;
    }
    return false;
}
