#include "sites/key.h"

#include <ctype.h>
#include <string.h>

static char plain(char c)
{
    char low = (char) tolower((unsigned char) c);

    return (low >= 'a' && low <= 'z') || isdigit((unsigned char) low) ? low
                                                                      : '-';
}

bool sites_key(const char *site, char ret[SITES_KEY_SIZE])
{
    size_t n = 0;

    for (; *site; site++) {
        char c = plain(*site);

        if (n > 0 && ret[n - 1] == 'v' && isdigit((unsigned char) c)) {
            if (n == SITES_KEY_MAX)
                return false;
            ret[n++] = '-';
        }
        if (n == SITES_KEY_MAX)
            return false;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return n > 0 && ret[0] >= 'a' && ret[0] <= 'z' &&
           strcmp(ret, "global") != 0;
}
