#include "os/url.h"

#include "base/id.h"
#include "base/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Pieces of a URL, within it. */
struct parts {
    size_t scheme_len;
    const char *host; /* Without brackets. */
    size_t host_len;
    uint64_t port;    /* Given or the scheme's own. */
    const char *path; /* "" or from its slash on. */
    bool https, user;
};

static bool parse_port(const char *text, size_t len, struct parts *parts)
{
    char buf[8];

    if (len == 0 || len >= sizeof(buf))
        return false;
    memcpy(buf, text, len);
    buf[len] = '\0';
    return ist_parse_u64(buf, 1, 65535, &parts->port);
}

static bool parse_host(const char *at, const char *end, struct parts *parts)
{
    const char *close;

    if (*at == '[') {
        close = memchr(at, ']', (size_t) (end - at));
        if (!close)
            return false;
        parts->host = at + 1;
        parts->host_len = (size_t) (close - at) - 1;
        at = close + 1;
    } else {
        parts->host = at;
        while (at < end && *at != ':')
            at++;
        parts->host_len = (size_t) (at - parts->host);
    }
    if (parts->host_len == 0 || parts->host_len > 253)
        return false;
    if (at == end)
        return true;
    return *at == ':' && parse_port(at + 1, (size_t) (end - at) - 1, parts);
}

static bool parse(const char *url, struct parts *parts)
{
    const char *at, *end, *user;

    *parts = (struct parts){.port = 80};
    if (strncasecmp(url, "http://", 7) == 0) {
        parts->scheme_len = 7;
    } else if (strncasecmp(url, "https://", 8) == 0) {
        parts->scheme_len = 8;
        parts->https = true;
        parts->port = 443;
    } else {
        return false;
    }
    at = url + parts->scheme_len;
    end = at + strcspn(at, "/?#");
    user = memchr(at, '@', (size_t) (end - at));
    if (user) {
        parts->user = true;
        at = user + 1;
    }
    parts->path = end;
    return parse_host(at, end, parts);
}

/* Also in the spellings that resolvers take: 0xA9FEA9FE, 2852039166. */
static bool is_link_local4(const char *host)
{
    struct in_addr in4;

    return inet_aton(host, &in4) && (ntohl(in4.s_addr) >> 16) == 0xA9FE;
}

static bool is_link_local(const struct parts *parts)
{
    struct in6_addr in6;
    char host[256], *zone;

    memcpy(host, parts->host, parts->host_len);
    host[parts->host_len] = '\0';
    if (is_link_local4(host))
        return true;
    zone = strchr(host, '%');
    if (zone)
        *zone = '\0';
    if (inet_pton(AF_INET6, host, &in6) != 1)
        return false;
    if (IN6_IS_ADDR_LINKLOCAL(&in6))
        return true;
    return (IN6_IS_ADDR_V4MAPPED(&in6) || IN6_IS_ADDR_V4COMPAT(&in6)) &&
           in6.s6_addr[12] == 0xA9 && in6.s6_addr[13] == 0xFE;
}

int os_url_check(const char *url, struct ist_err *err)
{
    struct parts parts;

    if (strlen(url) > OS_URL_MAX)
        return ist_err_set(err, -EINVAL, "the URL is too long");
    for (const char *p = url; *p; p++) {
        if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
            return ist_err_set(err, -EINVAL,
                               "the URL has a character that it must not");
    }
    if (!parse(url, &parts))
        return ist_err_set(err, -EINVAL, "the URL is not one of http or https");
    if (parts.user)
        return ist_err_set(err, -EINVAL, "the URL has a user name in it");
    if (strpbrk(parts.path, "?#"))
        return ist_err_set(err, -EINVAL, "the URL has a query or a fragment");
    if (is_link_local(&parts))
        return ist_err_set(err, -EINVAL, "the URL is link-local");
    if (parts.port < 1024 && parts.port != 80 && parts.port != 443)
        return ist_err_set(err, -EINVAL,
                           "the URL's port belongs to another protocol");
    return 0;
}

static bool is_unreserved(int c)
{
    return isalnum(c) || (c && strchr("-._~", c));
}

/* "%41" is "A", which has no need of it: two spellings of one path. */
static bool is_good_escape(const char *at)
{
    size_t len = strnlen(at + 1, 2);
    uint8_t c;

    return ist_hex_parse(at + 1, len, &c, 1) && c >= ' ' && c != 0x7f &&
           c != '/' && c != '\\' && !is_unreserved(c);
}

static bool is_good_segment(const char *text, size_t len)
{
    return len > 0 && !(len == 1 && text[0] == '.') &&
           !(len == 2 && memcmp(text, "..", 2) == 0);
}

int os_url_check_target(const char *target, struct ist_err *err)
{
    size_t path = strcspn(target, "?");

    if (target[0] != '/')
        return ist_err_set(err, -EINVAL,
                           "the path does not begin with a slash");
    for (size_t i = 0; target[i]; i++) {
        unsigned char c = (unsigned char) target[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"#<>\\^`{|}", c))
            return ist_err_set(err, -EINVAL,
                               "the path has a character that it must not");
        if (c == '%' && i < path && !is_good_escape(target + i))
            return ist_err_set(err, -EINVAL,
                               "the path encodes what it must not");
    }
    for (size_t at = 1; at < path;) {
        size_t len = strcspn(target + at, "/?");

        if (!is_good_segment(target + at, len))
            return ist_err_set(err, -EINVAL,
                               "the path has an empty or a dotted part");
        at += len + 1;
    }
    return 0;
}

bool os_url_is_version(const char *text, size_t len)
{
    if (len < 2 || text[0] != 'v' || !isdigit((unsigned char) text[1]))
        return false;
    for (size_t i = 1; i < len; i++) {
        if (!isdigit((unsigned char) text[i]) && text[i] != '.')
            return false;
    }
    return true;
}

static size_t trim_slashes(const char *text, size_t start, size_t len)
{
    while (len > start && text[len - 1] == '/')
        len--;
    return len;
}

void os_url_base(const char *endpoint, struct ist_sb *out)
{
    struct parts parts;
    size_t start, len;

    if (!parse(endpoint, &parts))
        return;
    start = (size_t) (parts.path - endpoint);
    len = trim_slashes(endpoint, start, strlen(endpoint));
    for (size_t at = start, end; at < len; at = end) {
        at++;
        end = at;
        while (end < len && endpoint[end] != '/')
            end++;
        /* What is behind the version is the project. */
        if (os_url_is_version(endpoint + at, end - at)) {
            len = trim_slashes(endpoint, start, at);
            break;
        }
    }
    ist_sb_add(out, endpoint, len);
}

bool os_url_same_origin(const char *base, const char *other)
{
    struct parts a, b;

    if (other[0] == '/' && other[1] != '/' && other[1] != '\\')
        return true;
    if (!parse(base, &a) || !parse(other, &b) || b.user)
        return false;
    return a.https == b.https && a.port == b.port && a.host_len == b.host_len &&
           strncasecmp(a.host, b.host, a.host_len) == 0;
}

bool os_url_parameter(const char *url, const char *name, struct ist_sb *out)
{
    const char *at = strchr(url, '?');
    size_t len = strlen(name);

    while (at) {
        at++;
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            size_t value = strcspn(at + len + 1, "&#");

            ist_sb_add(out, at + len + 1, value);
            return value > 0;
        }
        at = strpbrk(at, "&#");
        if (at && *at == '#')
            return false;
    }
    return false;
}

void os_url_encode(struct ist_sb *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];

        if (c < 0x80 && (isalnum(c) || strchr("-._~", c)) && c)
            ist_sb_putc(out, (char) c);
        else
            ist_sb_printf(out, "%%%02X", c);
    }
}

void os_url_expand(struct ist_sb *out, const char *path, const char *project,
                   const char *id)
{
    while (*path) {
        size_t len = strcspn(path, "{");

        ist_sb_add(out, path, len);
        path += len;
        if (strncmp(path, "{project}", 9) == 0) {
            os_url_encode(out, project, strlen(project));
            path += 9;
        } else if (strncmp(path, "{id}", 4) == 0) {
            os_url_encode(out, id, strlen(id));
            path += 4;
        } else if (*path) {
            ist_sb_putc(out, *path++);
        }
    }
}
