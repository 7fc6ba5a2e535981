#include "bus/url.h"

#include "base/id.h"
#include "base/parse.h"

#include <errno.h>
#include <string.h>

#define PORT_TLS   5671
#define PORT_PLAIN 5672

struct span {
    const char *text;
    size_t len;
};

static bool starts_with(const struct span *span, const char *prefix)
{
    size_t len = strlen(prefix);

    return span->len >= len && strncasecmp(span->text, prefix, len) == 0;
}

/* Cuts what lies before 'c' off the front; false, and nothing cut, if 'c' is
 * not there. */
static bool cut(struct span *span, char c, struct span *ret)
{
    const char *at = memchr(span->text, c, span->len);

    if (!at)
        return false;
    *ret = (struct span){span->text, (size_t) (at - span->text)};
    span->len -= ret->len + 1;
    span->text = at + 1;
    return true;
}

/* Percent-decoding; neither NUL nor other control characters may come out. */
static bool decode(struct span span, char *ret, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < span.len; i++) {
        char c = span.text[i];

        if (c == '%') {
            if (span.len - i < 3 || !ist_hex_parse(span.text + i + 1, 2, &c, 1))
                return false;
            i += 2;
        }
        if ((unsigned char) c < ' ' || c == 0x7f || n + 1 >= size)
            return false;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return true;
}

static const char *parse_host(struct span *rest, struct ist_bus_url *ret)
{
    struct span host = *rest, skipped;
    char port[6];
    uint64_t number;

    if (rest->len && rest->text[0] == '[') {
        rest->text++;
        rest->len--;
        if (!cut(rest, ']', &host))
            return "an address lacks its closing bracket";
        if (rest->len && rest->text[0] != ':')
            return "there is something between an address and its port";
        cut(rest, ':', &skipped);
    } else if (cut(rest, ':', &host)) {
        if (rest->len == 0)
            return "a port is empty";
    } else {
        rest->len = 0;
    }
    if (!host.len || !decode(host, ret->host, sizeof(ret->host)))
        return "a host is missing, too long, or badly encoded";
    if (!rest->len)
        return NULL;
    if (rest->len >= sizeof(port))
        return "a port is not a number from 1 to 65535";
    memcpy(port, rest->text, rest->len);
    port[rest->len] = '\0';
    if (!ist_parse_u64(port, 1, 65535, &number))
        return "a port is not a number from 1 to 65535";
    ret->port = (uint16_t) number;
    return NULL;
}

static const char *parse_user(struct span user, struct ist_bus_url *ret)
{
    struct span name;

    if (!cut(&user, ':', &name))
        return "a user has no password";
    if (!name.len || !decode(name, ret->user, sizeof(ret->user)) ||
        !decode(user, ret->password, sizeof(ret->password)))
        return "a user or password is empty, too long, or badly encoded";
    return NULL;
}

static const char *parse_one(struct span rest, struct ist_bus_url *ret)
{
    struct span part, host, user;
    bool has_user;
    const char *why;

    *ret = (struct ist_bus_url){.port = PORT_TLS, .is_tls = true};
    if (starts_with(&rest, "amqp://")) {
        ret->is_tls = false;
        ret->port = PORT_PLAIN;
    } else if (!starts_with(&rest, "amqps://")) {
        return "it does not begin with amqps://";
    }
    cut(&rest, '/', &part);
    cut(&rest, '/', &part);
    if (memchr(rest.text, '?', rest.len) || memchr(rest.text, '#', rest.len))
        return "parameters are not taken";
    strlcpy(ret->vhost, "/", sizeof(ret->vhost));
    if (cut(&rest, '/', &host)) {
        if (!decode(rest, ret->vhost, sizeof(ret->vhost)))
            return "a virtual host is too long or badly encoded";
        if (!ret->vhost[0])
            strlcpy(ret->vhost, "/", sizeof(ret->vhost));
    } else {
        host = rest;
    }
    has_user = cut(&host, '@', &user);
    if (!has_user && !ret->is_tls)
        return "amqp needs user:password@";
    why = has_user ? parse_user(user, ret) : NULL;
    return why ? why : parse_host(&host, ret);
}

int ist_bus_url_parse(const char *text, struct ist_bus_url *ret,
                      struct ist_err *err)
{
    const char *at = text, *item, *why;
    size_t len;
    int n = 0;

    while (ist_parse_item(&at, &item, &len)) {
        if (n == IST_BUS_URL_MAX)
            return ist_err_set(err, -EINVAL, "more than %d broker URLs",
                               IST_BUS_URL_MAX);
        why = parse_one((struct span){item, len}, &ret[n]);
        if (!why && ret[n].is_tls != ret[0].is_tls)
            why = "amqp and amqps cannot be mixed";
        if (why)
            return ist_err_set(err, -EINVAL, "broker URL %d: %s", n + 1, why);
        n++;
    }
    if (n == 0)
        return ist_err_set(err, -EINVAL, "no broker URL");
    return n;
}
