#include "base/sb.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ist_sb_init(struct ist_sb *sb, size_t cap)
{
    *sb = (struct ist_sb){.cap = cap ? cap : SIZE_MAX / 4};
}

void ist_sb_fini(struct ist_sb *sb)
{
    free(sb->data);
    sb->data = NULL;
    sb->len = sb->size = 0;
}

void ist_sb_wipe(struct ist_sb *sb)
{
    if (sb->data)
        explicit_bzero(sb->data, sb->size);
    ist_sb_fini(sb);
}

void ist_sb_reset(struct ist_sb *sb)
{
    sb->len = 0;
    sb->rc = 0;
    if (sb->data)
        sb->data[0] = '\0';
}

static int fail(struct ist_sb *sb, int rc)
{
    if (sb->rc == 0)
        sb->rc = rc;
    return sb->rc;
}

/* Room for 'more' bytes and the NUL. */
static int grow(struct ist_sb *sb, size_t more)
{
    size_t need, size = sb->size ? sb->size : 64;
    char *data;

    if (sb->rc)
        return sb->rc;
    if (more > sb->cap - sb->len)
        return fail(sb, -ENOBUFS);
    need = sb->len + more + 1;
    if (need <= sb->size)
        return 0;
    while (size < need)
        size *= 2;
    data = realloc(sb->data, size);
    if (!data)
        return fail(sb, -ENOMEM);
    sb->data = data;
    sb->size = size;
    return 0;
}

void ist_sb_add(struct ist_sb *sb, const void *data, size_t len)
{
    if (grow(sb, len))
        return;
    if (len)
        memcpy(sb->data + sb->len, data, len);
    sb->len += len;
    sb->data[sb->len] = '\0';
}

void ist_sb_puts(struct ist_sb *sb, const char *text)
{
    ist_sb_add(sb, text, strlen(text));
}

void ist_sb_putc(struct ist_sb *sb, char c)
{
    ist_sb_add(sb, &c, 1);
}

/* Into the room that there is; only what does not fit is written twice. */
void ist_sb_printf(struct ist_sb *sb, const char *fmt, ...)
{
    size_t room = sb->rc ? 0 : sb->size - sb->len;
    va_list args;
    int len;

    if (room > sb->cap - sb->len + 1)
        room = sb->cap - sb->len + 1; /* The NUL counts in the room only. */
    va_start(args, fmt);
    len = vsnprintf(room ? sb->data + sb->len : NULL, room, fmt, args);
    va_end(args);
    if (len < 0 || ((size_t) len >= room && grow(sb, (size_t) len))) {
        fail(sb, -EINVAL);
        if (room)
            sb->data[sb->len] = '\0';
        return;
    }
    if ((size_t) len >= room) {
        va_start(args, fmt);
        vsnprintf(sb->data + sb->len, (size_t) len + 1, fmt, args);
        va_end(args);
    }
    sb->len += (size_t) len;
}

static void put_escaped(struct ist_sb *sb, unsigned char c)
{
    static const char names[] = "\bb\tt\nn\ff\rr\"\"\\\\";

    for (const char *p = names; *p; p += 2) {
        if ((unsigned char) p[0] == c) {
            char pair[2] = {'\\', p[1]};

            ist_sb_add(sb, pair, 2);
            return;
        }
    }
    ist_sb_printf(sb, "\\u%04x", c);
}

void ist_sb_json(struct ist_sb *sb, const char *text, size_t len)
{
    size_t start = 0, i = 0;

    ist_sb_putc(sb, '"');
    while (i < len) {
        unsigned char c = (unsigned char) text[i];
        size_t n = c < 0x80 ? 1 : ist_utf8_len(text + i, len - i);

        if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += n;
            continue;
        }
        ist_sb_add(sb, text + start, i - start);
        if (n)
            put_escaped(sb, c);
        else
            ist_sb_puts(sb, "\xEF\xBF\xBD");
        start = ++i;
    }
    ist_sb_add(sb, text + start, i - start);
    ist_sb_putc(sb, '"');
}

char *ist_sb_reserve(struct ist_sb *sb, size_t len)
{
    return grow(sb, len) ? NULL : sb->data + sb->len;
}

const char *ist_sb_text(const struct ist_sb *sb)
{
    return sb->data ? sb->data : "";
}

char *ist_sb_take(struct ist_sb *sb, size_t *ret_len)
{
    char *data;

    if (grow(sb, 0))
        return NULL;
    sb->data[sb->len] = '\0';
    data = IST_TAKE(sb->data);
    if (ret_len)
        *ret_len = sb->len;
    sb->len = sb->size = 0;
    return data;
}
