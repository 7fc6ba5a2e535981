/* May there be a webhook of that URL? What a host's name leads to, only the
 * connection tells; that is judged then. */
#include "events/webhook_priv.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_loopback_name(const char *host)
{
    size_t len = strlen(host);

    while (len && host[len - 1] == '.')
        len--;
    return (len == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (len > 10 && strncasecmp(host + len - 10, ".localhost", 10) == 0);
}

/* RFC 6761: such a name is the loopback address. */
static bool may_lead_to(const struct webhooks *hooks, const char *host)
{
    char address[256];
    size_t len = strlen(host);

    if (is_loopback_name(host))
        host = "127.0.0.1";
    else if (host[0] == '[' && len > 2 && len < sizeof(address)) {
        snprintf(address, sizeof(address), "%.*s", (int) len - 2, host + 1);
        host = address;
    }
    return events_guard_allows_host(&hooks->guard, host);
}

static int check_parts(const struct webhooks *hooks, CURLU *url,
                       struct ist_err *err)
{
    char *scheme = NULL, *host = NULL, *user = NULL, *fragment = NULL;
    int rc = 0;

    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(url, CURLUPART_HOST, &host, 0);
    curl_url_get(url, CURLUPART_USER, &user, 0);
    curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0);
    if (!scheme || !host ||
        (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
        rc = ist_err_set(err, -EINVAL, "must begin with https://");
    else if (strcmp(scheme, "http") == 0 && !hooks->conf.http)
        rc = ist_err_set(err, -EINVAL,
                         "must begin with https://: this hub sends nothing "
                         "without TLS (webhooks.http)");
    else if (user)
        rc = ist_err_set(err, -EINVAL, "must have no user or password in it");
    else if (fragment)
        rc = ist_err_set(err, -EINVAL, "must have no '#' in it");
    else if (!may_lead_to(hooks, host))
        rc = ist_err_set(err, -EINVAL,
                         "leads to an address that is not public, and that "
                         "the hub's operator has not allowed "
                         "(webhooks.networks)");
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(fragment);
    return rc;
}

int webhooks_check_url(const struct webhooks *hooks, const char *text,
                       struct ist_err *err)
{
    CURLU *url = curl_url();
    int rc;

    if (!url)
        return ist_err_set(err, -ENOMEM, "out of memory");
    for (const char *c = text; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            curl_url_cleanup(url);
            return ist_err_set(err, -EINVAL,
                               "must be of printable ASCII characters; others "
                               "are written with %%");
        }
    }
    if (strlen(text) >= WEBHOOK_URL_SIZE)
        rc = ist_err_set(err, -EINVAL, "is longer than %d bytes",
                         WEBHOOK_URL_SIZE - 1);
    else if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) !=
             CURLUE_OK)
        rc = ist_err_set(err, -EINVAL, "is no URL: write https://host/path");
    else
        rc = check_parts(hooks, url, err);
    curl_url_cleanup(url);
    return rc;
}
