#include "http/field.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_token_char(char c)
{
    return isalnum((unsigned char) c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Length of the token at 'text'. */
size_t http_token_len(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && is_token_char(text[n]))
        n++;
    return n;
}

bool http_is_value(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if ((text[i] >= 0 && text[i] < ' ' && text[i] != '\t') ||
            text[i] == 0x7f)
            return false;
    return true;
}

bool http_has_name(const char *line, const char *name)
{
    size_t len = strlen(name);

    return strncasecmp(line, name, len) == 0 && line[len] == ':';
}
