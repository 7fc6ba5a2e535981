#include "feed/notify.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* oslo.messaging's own names for RabbitMQ, and one that says TLS. */
static const struct {
    const char *name;
    bool is_tls;
} schemes[] = {{"rabbit", false}, {"kombu", false}, {"rabbit+tls", true}};

static const char *take_scheme(const char *text, bool *ret_tls)
{
    const char *end = strstr(text, "://");

    for (size_t i = 0; end && i < IST_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i].name);

        if ((size_t) (end - text) != len ||
            strncasecmp(text, schemes[i].name, len) != 0)
            continue;
        *ret_tls = schemes[i].is_tls;
        return end + 3;
    }
    return NULL;
}

/* Of the options that a URL may carry one matters here. */
static bool asks_for_tls(const char *query)
{
    static const char *const yes[] = {"ssl=1", "ssl=true", "ssl=yes"};

    while (*query) {
        size_t len = strcspn(query, "&");

        for (size_t i = 0; i < IST_COUNT(yes); i++) {
            if (len == strlen(yes[i]) && strncasecmp(query, yes[i], len) == 0)
                return true;
        }
        query += len + (query[len] == '&');
    }
    return false;
}

int notify_url(const char *text, struct ist_sb *ret, struct ist_err *err)
{
    size_t hosts_len, path_len;
    const char *hosts, *path;
    bool is_tls = false;

    hosts = take_scheme(text, &is_tls);
    if (!hosts)
        return ist_err_set(err, -EINVAL,
                           "the transport URL does not begin with rabbit://");
    hosts_len = strcspn(hosts, "/?");
    path = hosts + hosts_len + (hosts[hosts_len] == '/');
    path_len = strcspn(path, "?");
    if (path[path_len] == '?' && asks_for_tls(path + path_len + 1))
        is_tls = true;
    for (const char *host = hosts; host < hosts + hosts_len;) {
        size_t left = (size_t) (hosts + hosts_len - host);
        const char *comma = memchr(host, ',', left);
        size_t len = comma ? (size_t) (comma - host) : left;

        ist_sb_printf(ret, "%s%s://", host == hosts ? "" : ",",
                      is_tls ? "amqps" : "amqp");
        ist_sb_add(ret, host, len);
        ist_sb_putc(ret, '/');
        ist_sb_add(ret, path, path_len);
        host += len + (comma != NULL);
    }
    return ret->rc ? ist_err_set(err, ret->rc, "the transport URL is too long")
                   : 0;
}
