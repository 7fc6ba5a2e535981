/* What can be asked of a slice that a scan has checked. */
#include "codec/json.h"

#include "codec/json_priv.h"

#include <string.h>
#include <strings.h>

int ist_json_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum ist_json_type ist_json_type(struct ist_json_slice v)
{
    if (!v.data || v.size == 0)
        return IST_JSON_ABSENT;
    switch (v.data[0]) {
    case 'n':
        return IST_JSON_NULL;
    case 'f':
        return IST_JSON_FALSE;
    case 't':
        return IST_JSON_TRUE;
    case '"':
        return IST_JSON_STRING;
    case '[':
        return IST_JSON_ARRAY;
    case '{':
        return IST_JSON_OBJECT;
    default:
        return IST_JSON_NUMBER;
    }
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++)
        v = v << 4 | (unsigned) ist_json_hex_value(p[i]);
    return v;
}

static size_t put_utf8(char *buf, unsigned c)
{
    if (c < 0x80) {
        buf[0] = (char) c;
        return 1;
    }
    if (c < 0x800) {
        buf[0] = (char) (0xC0 | c >> 6);
        buf[1] = (char) (0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        buf[0] = (char) (0xE0 | c >> 12);
        buf[1] = (char) (0x80 | (c >> 6 & 0x3F));
        buf[2] = (char) (0x80 | (c & 0x3F));
        return 3;
    }
    buf[0] = (char) (0xF0 | c >> 18);
    buf[1] = (char) (0x80 | (c >> 12 & 0x3F));
    buf[2] = (char) (0x80 | (c >> 6 & 0x3F));
    buf[3] = (char) (0x80 | (c & 0x3F));
    return 4;
}

size_t ist_json_unescape(const char *text, size_t len, char *buf)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *end = text + len;
    size_t n = 0;

    while (text < end) {
        unsigned c;

        if (*text != '\\') {
            buf[n++] = *text++;
            continue;
        }
        if (text[1] != 'u') {
            buf[n++] = to[strchr(from, text[1]) - from];
            text += 2;
            continue;
        }
        c = hex4(text + 2);
        text += 6;
        if (c >= 0xD800 && c < 0xDC00) {
            c = 0x10000 + ((c - 0xD800) << 10) + (hex4(text + 2) - 0xDC00);
            text += 6;
        }
        n += put_utf8(buf + n, c);
    }
    return n;
}

bool ist_json_text(struct ist_json_slice v, char *buf, size_t size,
                   size_t *ret_len)
{
    size_t len, n;

    if (ist_json_type(v) != IST_JSON_STRING)
        return false;
    len = v.size - 2;
    if (size <= len)
        return false;
    if (memchr(v.data + 1, '\\', len)) {
        n = ist_json_unescape(v.data + 1, len, buf);
    } else {
        memcpy(buf, v.data + 1, len);
        n = len;
    }
    buf[n] = '\0';
    if (ret_len)
        *ret_len = n;
    return true;
}

bool ist_json_text_is(struct ist_json_slice v, const char *text)
{
    size_t len = strlen(text);
    char buf[256];
    size_t n;

    if (ist_json_type(v) != IST_JSON_STRING)
        return false;
    if (!memchr(v.data, '\\', v.size))
        return v.size - 2 == len && memcmp(v.data + 1, text, len) == 0;
    return ist_json_text(v, buf, sizeof(buf), &n) && n == len &&
           memcmp(buf, text, len) == 0;
}

static int first_pick(void *arg, const struct ist_json_element *e)
{
    struct ist_json_slice *ret = arg;

    if (e->refusal == IST_JSON_FINE)
        *ret = e->picks[0];
    return 0;
}

struct ist_json_slice ist_json_find(struct ist_json_slice v, const char *path)
{
    struct ist_json_slice found = {NULL, 0};

    while (v.size > 0 && strchr(" \t\r\n", *v.data) && *v.data) {
        v.data++;
        v.size--;
    }
    if (ist_json_type(v) != IST_JSON_OBJECT ||
        ist_json_each(v, &path, 1, first_pick, &found))
        return (struct ist_json_slice){NULL, 0};
    return found;
}

int ist_json_each(struct ist_json_slice v, const char *const *picks,
                  size_t n_picks, ist_json_element_fn *fn, void *arg)
{
    const struct ist_json_want want = {.collection = "",
                                       .picks = picks,
                                       .n_picks = n_picks,
                                       .element_max = SIZE_MAX / 4};
    struct ist_json_split split;
    int rc;

    ist_json_split_init(&split, &want, fn, arg);
    ist_json_split_feed(&split, v.data, v.size);
    rc = ist_json_split_end(&split);
    ist_json_split_fini(&split);
    return rc;
}

bool ist_json_is_type(const char *type, size_t len)
{
    static const char json[] = "application/json";

    return type && len >= sizeof(json) - 1 &&
           strncasecmp(type, json, sizeof(json) - 1) == 0;
}
