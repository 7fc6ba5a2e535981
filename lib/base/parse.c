#include "base/parse.h"

#include <ctype.h>
#include <string.h>

/* Digits at the start of 'text'; returns how many, 0 on overflow or none. */
static size_t digits(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t d = (uint64_t) (text[i] - '0');

        if (value > (UINT64_MAX - d) / 10)
            return 0;
        value = value * 10 + d;
    }
    if (i)
        *ret = value;
    return i;
}

bool ist_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    size_t n = digits(text, &value);

    if (n == 0 || text[n] || value < min || value > max)
        return false;
    *ret = value;
    return true;
}

struct unit {
    const char *word;
    uint64_t factor;
};

static bool with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
    uint64_t value = 0;
    size_t n = digits(text, &value);

    if (n == 0)
        return false;
    for (; units->word; units++) {
        if (strcmp(text + n, units->word) != 0)
            continue;
        if (value > UINT64_MAX / units->factor)
            return false;
        *ret = value * units->factor;
        return true;
    }
    return false;
}

bool ist_parse_ms(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {
        {"ms", 1},       {"s", 1000},      {"m", 60000},
        {"h", 3600000U}, {"d", 86400000U}, {NULL, 0},
    };

    return with_unit(text, units, ret);
}

bool ist_parse_bytes(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {
        {"", 1},
        {"KiB", 1024},
        {"MiB", 1024 * 1024},
        {"GiB", 1024 * 1024 * 1024},
        {NULL, 0},
    };

    return with_unit(text, units, ret);
}

/* ^h[0-9]+(-|$): looks like a hub's word on the bus. */
static bool is_hub_word(const char *text)
{
    if (*text++ != 'h' || !isdigit((unsigned char) *text))
        return false;
    while (isdigit((unsigned char) *text))
        text++;
    return *text == '\0' || *text == '-';
}

bool ist_parse_site_name(const char *text)
{
    static const char *const reserved[] = {"res", "guest", "provisioner", "hub",
                                           "global"};
    size_t len = strlen(text);

    if (len < 2 || len > 32 || text[0] == '-' || text[len - 1] == '-')
        return false;
    if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return false;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (strcmp(text, reserved[i]) == 0)
            return false;
    }
    return strncmp(text, "hub-", 4) != 0 && strncmp(text, "noc-", 4) != 0 &&
           !is_hub_word(text);
}

bool ist_parse_item(const char **at, const char **ret, size_t *ret_len)
{
    const char *text = *at;

    if (!text)
        return false;
    *ret = text;
    *ret_len = strcspn(text, ",");
    *at = text[*ret_len] == ',' ? text + *ret_len + 1 : NULL;
    return true;
}
