#include "base/id.h"

#include "base/rand.h"

#include <stdio.h>
#include <string.h>

struct ist_id ist_id_random(void)
{
    struct ist_id id;

    ist_rand_bytes(id.b, sizeof(id.b));
    id.b[6] = (uint8_t) ((id.b[6] & 0x0F) | 0x40);
    id.b[8] = (uint8_t) ((id.b[8] & 0x3F) | 0x80);
    return id;
}

bool ist_id_eq(const struct ist_id *a, const struct ist_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

int ist_id_cmp(const struct ist_id *a, const struct ist_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}

bool ist_id_is_zero(const struct ist_id *id)
{
    static const struct ist_id zero;

    return ist_id_eq(id, &zero);
}

char *ist_hex(const void *data, size_t size, char *buf)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = data;

    for (size_t i = 0; i < size; i++) {
        buf[2 * i] = digits[in[i] >> 4];
        buf[2 * i + 1] = digits[in[i] & 15];
    }
    buf[2 * size] = '\0';
    return buf;
}

char *ist_id_hex(const struct ist_id *id, char *buf)
{
    return ist_hex(id->b, sizeof(id->b), buf);
}

char *ist_id_uuid(const struct ist_id *id, char *buf)
{
    char hex[IST_ID_HEX_SIZE];

    ist_id_hex(id, hex);
    snprintf(buf, IST_ID_UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
    return buf;
}

bool ist_id_is_hex(const char *text)
{
    return strlen(text) == IST_ID_HEX_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == IST_ID_HEX_SIZE - 1;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool ist_hex_parse(const char *text, size_t len, void *ret, size_t size)
{
    uint8_t *out = ret;

    if (len != 2 * size)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (digit(text[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t) (digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return true;
}
