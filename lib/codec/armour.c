#include "codec/armour.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 48 /* 64 characters of base64. */

void ist_armour_write(struct ist_sb *out, const char *label, const void *data,
                      size_t size)
{
    const unsigned char *at = data;
    char line[sodium_base64_ENCODED_LEN(LINE_BYTES,
                                        sodium_base64_VARIANT_ORIGINAL)];

    ist_sb_printf(out, "-----BEGIN %s-----\n", label);
    while (size) {
        size_t n = size < LINE_BYTES ? size : LINE_BYTES;

        sodium_bin2base64(line, sizeof(line), at, n,
                          sodium_base64_VARIANT_ORIGINAL);
        ist_sb_puts(out, line);
        ist_sb_putc(out, '\n');
        at += n;
        size -= n;
    }
    sodium_memzero(line, sizeof(line));
    ist_sb_printf(out, "-----END %s-----\n", label);
}

static void skip_space(const char **at, const char *end)
{
    while (*at < end && isspace((unsigned char) **at))
        (*at)++;
}

/* Steps over "-----BEGIN label-----". */
static bool skip_mark(const char **at, const char *end, const char *verb,
                      const char *label)
{
    const char *const parts[] = {"-----", verb, label, "-----"};

    for (size_t i = 0; i < IST_COUNT(parts); i++) {
        size_t len = strlen(parts[i]);

        if ((size_t) (end - *at) < len || memcmp(*at, parts[i], len) != 0)
            return false;
        *at += len;
    }
    return true;
}

int ist_armour_read(const char *text, size_t size, const char *label,
                    struct ist_sb *out)
{
    const char *at = text, *end = text + size, *body, *stop;
    size_t room, used = 0;
    char *to;

    skip_space(&at, end);
    if (!skip_mark(&at, end, "BEGIN ", label))
        return -EINVAL;
    body = at;
    stop = memchr(body, '-', (size_t) (end - body));
    if (!stop)
        return -EINVAL;
    at = stop;
    if (!skip_mark(&at, end, "END ", label))
        return -EINVAL;
    skip_space(&at, end);
    if (at != end)
        return -EINVAL;

    room = (size_t) (stop - body) / 4 * 3 + 3;
    if (room > out->cap - out->len)
        room = out->cap - out->len;
    to = ist_sb_reserve(out, room);
    if (!to)
        return out->rc;
    if (sodium_base642bin((unsigned char *) to, room, body,
                          (size_t) (stop - body), " \t\r\n", &used, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return errno == ERANGE ? -ENOBUFS : -EINVAL;
    out->len += used;
    out->data[out->len] = '\0';
    return 0;
}
