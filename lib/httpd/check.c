#include "httpd/check.h"

#include "base/parse.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];

        if (!c || !(isalnum(c) || strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return len > 0;
}

static bool is_value(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* A registered name, an IPv4 address, or an IPv6 address in brackets; then
 * perhaps a port. */
static bool is_host(const char *text)
{
    size_t len = 0;

    if (*text == '[') {
        len = strspn(text + 1, "0123456789abcdefABCDEF:.") + 1;
        if (len < 3 || text[len++] != ']')
            return false;
    } else {
        while (isalnum((unsigned char) text[len]) ||
               (text[len] && strchr("-._~", text[len])))
            len++;
        if (len == 0)
            return false;
    }
    text += len;
    if (*text == '\0')
        return true;
    if (*text++ != ':')
        return false;
    len = strspn(text, "0123456789");
    return len >= 1 && len <= 5 && text[len] == '\0';
}

static const char *find(const struct ist_check_head *head, const char *name,
                        size_t *ret_n)
{
    const char *found = NULL;
    size_t i;

    *ret_n = 0;
    for (i = 0; i < head->n_headers; i++) {
        if (strcasecmp(head->headers[i].name, name))
            continue;
        if (!found)
            found = head->headers[i].value;
        ++*ret_n;
    }
    return found;
}

static int refuse(int status, const char *why, const char **ret)
{
    *ret = why;
    return status;
}

static int check_line(const struct ist_check_head *head,
                      const struct ist_httpd_conf *conf, const char **ret)
{
    size_t method_len = strlen(head->method);
    size_t line = method_len + strlen(head->target) + strlen(head->version) + 2;

    if (line > conf->line_max)
        return refuse(414, "request line too long", ret);
    if (!is_token(head->method, method_len))
        return refuse(400, "bad method", ret);
    /* HTTP/1.0 has neither Host nor chunks: one answer for all of it. */
    if (strcmp(head->version, "HTTP/1.1"))
        return refuse(505, "only HTTP/1.1 is spoken here", ret);
    return 0;
}

static int check_fields(const struct ist_check_head *head,
                        const struct ist_httpd_conf *conf, const char **ret)
{
    size_t i;

    if (head->n_headers > conf->headers_max)
        return refuse(431, "too many headers", ret);
    for (i = 0; i < head->n_headers; i++) {
        const struct ist_check_header *h = &head->headers[i];

        if (h->name_len + 2 + h->value_len > conf->header_max)
            return refuse(431, "header too long", ret);
        if (!is_token(h->name, h->name_len))
            return refuse(400, "bad header name", ret);
        if (!is_value(h->value, h->value_len))
            return refuse(400, "control character in a header", ret);
    }
    return 0;
}

static int check_host(const struct ist_check_head *head, const char **ret)
{
    size_t n;
    const char *host = find(head, "Host", &n);

    if (n != 1)
        return refuse(400, n ? "more than one Host" : "no Host", ret);
    if (!is_host(host))
        return refuse(400, "bad Host", ret);
    return 0;
}

/* Where the body ends must be beyond doubt, or the next request could be
 * smuggled in it. */
static int check_framing(const struct ist_check_head *head, const char **ret)
{
    size_t n_length, n_coding;
    const char *length = find(head, "Content-Length", &n_length);
    const char *coding = find(head, "Transfer-Encoding", &n_coding);
    uint64_t size;

    if (n_length > 1)
        return refuse(400, "more than one Content-Length", ret);
    if (n_length && n_coding)
        return refuse(400, "Content-Length with Transfer-Encoding", ret);
    if (n_coding > 1)
        return refuse(400, "more than one Transfer-Encoding", ret);
    if (n_coding && strcasecmp(coding, "chunked"))
        return refuse(501, "Transfer-Encoding other than chunked", ret);
    if (!n_length)
        return 0;
    if (!ist_parse_u64(length, 0, UINT64_MAX, &size))
        return refuse(400, "bad Content-Length", ret);
    /* libmicrohttpd's largest number means "not known". */
    if (size > INT64_MAX)
        return refuse(413, "body too large", ret);
    return 0;
}

int ist_check_head(const struct ist_check_head *head,
                   const struct ist_httpd_conf *conf, const char **ret)
{
    int status = check_line(head, conf, ret);

    if (status == 0)
        status = check_fields(head, conf, ret);
    if (status == 0)
        status = check_host(head, ret);
    if (status == 0)
        status = check_framing(head, ret);
    return status;
}

uint64_t ist_check_length(const struct ist_check_head *head)
{
    uint64_t size = 0;
    size_t n;
    const char *length = find(head, "Content-Length", &n);

    if (length)
        ist_parse_u64(length, 0, INT64_MAX, &size);
    else if (find(head, "Transfer-Encoding", &n))
        size = UINT64_MAX;
    return size;
}

bool ist_check_request_id(const char *text)
{
    static const char shape[] = "req-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i;

    for (i = 0; shape[i]; i++) {
        if (shape[i] == 'x' && i >= 4) {
            if (!isxdigit((unsigned char) text[i]))
                return false;
        } else if (text[i] != shape[i]) {
            return false;
        }
    }
    return text[i] == '\0';
}

bool ist_check_header_out(const char *name, const char *value)
{
    return is_token(name, strlen(name)) && is_value(value, strlen(value));
}
