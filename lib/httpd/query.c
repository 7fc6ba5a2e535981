#include "httpd/query.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const char *ist_query_text(int outcome)
{
    static const char *const texts[] = {
        [IST_QUERY_E_ESCAPE] = "bad percent escape in the URL",
        [IST_QUERY_E_BYTE] = "bad character in the URL",
        [IST_QUERY_E_CONTROL] = "control character in the URL",
        [IST_QUERY_E_UTF8] = "the URL is not UTF-8",
        [IST_QUERY_E_SEGMENT] = "empty or dot segment in the path",
        [IST_QUERY_E_SLASH] = "encoded slash in the path",
        [IST_QUERY_E_TWICE] = "path encoded twice",
        [IST_QUERY_E_ORIGIN] = "the URL must begin with a slash",
        [IST_QUERY_E_MANY] = "too many query parameters",
    };

    if (outcome < 1 || (size_t) outcome >= sizeof(texts) / sizeof(*texts))
        return "bad URL";
    return texts[outcome];
}

/* -1 when it is none. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte "%xx" at 'text' stands for; -1 when it is no escape. 'len' is what
 * is left, the '%' included. */
static int escape(const char *text, size_t len)
{
    int high, low;

    if (len < 3)
        return -1;
    high = hex_digit(text[1]);
    low = hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Decodes into 'ret' (of at least len + 1 bytes), never longer than the
 * text. Returns an outcome; no byte of the result is NUL. */
static int decode(const char *text, size_t len, bool plus, char *ret,
                  size_t *ret_len)
{
    size_t i, n = 0;
    int byte;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];

        if (c <= ' ' || c >= 0x7f || c == '#')
            return IST_QUERY_E_BYTE;
        if (c == '%') {
            byte = escape(text + i, len - i);
            if (byte < 0)
                return IST_QUERY_E_ESCAPE;
            if (byte == 0)
                return IST_QUERY_E_CONTROL;
            ret[n++] = (char) (unsigned char) byte;
            i += 2;
        } else {
            ret[n++] = c == '+' && plus ? ' ' : (char) c;
        }
    }
    ret[n] = '\0';
    *ret_len = n;
    return ist_utf8_valid(ret, n) ? 0 : IST_QUERY_E_UTF8;
}

/* An encoded slash decodes to a segment border that a server behind us may
 * not see; a backslash is one to some. */
static bool has_slash_escape(const char *text, size_t len)
{
    size_t i;
    int byte;

    for (i = 0; i < len; i++) {
        if (text[i] != '%')
            continue;
        byte = escape(text + i, len - i);
        if (byte == '/' || byte == '\\')
            return true;
    }
    return false;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((*text > 0 && *text < ' ') || *text == 0x7f)
            return true;
    return false;
}

static bool has_escape(const char *text)
{
    const char *at;

    for (at = text; (at = strchr(at, '%')); at++)
        if (escape(at, strlen(at)) >= 0)
            return true;
    return false;
}

/* Empty (but for the last one), "." or "..". */
static bool has_odd_segment(const char *path)
{
    const char *at = path + 1;
    size_t len;

    for (;;) {
        len = strcspn(at, "/");
        if (len == 0 && at[len] == '/')
            return true;
        if (len && len <= 2 && strspn(at, ".") >= len)
            return true;
        if (!at[len])
            return false;
        at += len + 1;
    }
}

int ist_query_path(struct ist_arena *arena, const char *target,
                   const char **ret)
{
    size_t len = strcspn(target, "?"), n;
    char *path;
    int rc;

    if (target[0] != '/')
        return IST_QUERY_E_ORIGIN;
    if (memchr(target, '\\', len))
        return IST_QUERY_E_BYTE;
    if (has_slash_escape(target, len))
        return IST_QUERY_E_SLASH;
    path = ist_arena_alloc(arena, len + 1);
    if (!path)
        return -ENOMEM;
    rc = decode(target, len, false, path, &n);
    if (rc)
        return rc;
    if (has_control(path))
        return IST_QUERY_E_CONTROL;
    if (has_escape(path))
        return IST_QUERY_E_TWICE;
    if (has_odd_segment(path))
        return IST_QUERY_E_SEGMENT;
    *ret = path;
    return 0;
}

static size_t count_params(const char *query)
{
    size_t n = 0;

    for (; *query; query += strcspn(query, "&")) {
        query += strspn(query, "&");
        n += *query != '\0';
    }
    return n;
}

static int param(struct ist_arena *arena, const char *text, size_t len,
                 struct ist_httpd_param *ret)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t) (equals - text) : len, n;
    size_t value_len = equals ? len - name_len - 1 : 0;
    char *name = ist_arena_alloc(arena, name_len + 1);
    char *value = ist_arena_alloc(arena, value_len + 1);
    int rc;

    if (!name || !value)
        return -ENOMEM;
    rc = decode(text, name_len, true, name, &n);
    if (rc == 0)
        rc = decode(text + len - value_len, value_len, true, value, &n);
    *ret = (struct ist_httpd_param){name, value};
    return rc;
}

int ist_query_params(struct ist_arena *arena, const char *target,
                     const struct ist_httpd_param **ret, size_t *ret_n)
{
    const char *at = strchr(target, '?');
    struct ist_httpd_param *params;
    size_t n, i, len;
    int rc;

    *ret = NULL;
    *ret_n = 0;
    if (!at)
        return 0;
    n = count_params(++at);
    if (n > IST_QUERY_PARAMS_MAX)
        return IST_QUERY_E_MANY;
    params = ist_arena_alloc(arena, n * sizeof(*params));
    if (!params)
        return -ENOMEM;
    for (i = 0; i < n; i++, at += len) {
        at += strspn(at, "&");
        len = strcspn(at, "&");
        rc = param(arena, at, len, &params[i]);
        if (rc)
            return rc;
    }
    *ret = params;
    *ret_n = n;
    return 0;
}

void ist_query_encode(struct ist_sb *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                "uvwxyz0123456789-._~,";

    for (; *text; text++) {
        if (strchr(plain, *text))
            ist_sb_putc(out, *text);
        else
            ist_sb_printf(out, "%%%02X", (unsigned char) *text);
    }
}
