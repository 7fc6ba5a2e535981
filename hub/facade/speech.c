#include "facade/speech.h"

#include <string.h>
#include <strings.h>

bool facade_is_status(int status)
{
    return status >= 200 && status <= 599;
}

static bool is_of_the_origin(const char *name)
{
    static const char *const names[] = {
        "Set-Cookie",     "Set-Cookie2",     "Strict-Transport-Security",
        "Alt-Svc",        "Clear-Site-Data", "Content-Security-Policy",
        "Refresh",        "X-Auth-Token",    "X-Subject-Token",
        "X-Frame-Options"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return strncasecmp(name, "Access-Control-", 15) == 0;
}

size_t facade_speech_headers(const Isthmus__V1__Header *const *from, size_t n,
                             struct ist_httpd_header *ret)
{
    size_t n_ret = 0;

    ret[n_ret++] = (struct ist_httpd_header){"Content-Security-Policy",
                                             "default-src 'none'; sandbox"};
    ret[n_ret++] =
        (struct ist_httpd_header){"X-Content-Type-Options", "nosniff"};
    for (size_t i = 0; i < n && n_ret < FACADE_HEADERS_MAX; i++) {
        const char *name = from[i]->name;

        if (is_of_the_origin(name))
            continue;
        /* The answer's own id is the hub's. */
        if (strcasecmp(name, "x-openstack-request-id") == 0)
            name = "X-Isthmus-Site-Request-Id";
        ret[n_ret++] = (struct ist_httpd_header){name, from[i]->value};
    }
    return n_ret;
}
