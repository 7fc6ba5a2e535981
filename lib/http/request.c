/* What curl is told to send, and how: URL, method, headers, limits, TLS. */
#include "http/client_priv.h"
#include "http/field.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define UPLOAD_BUFFER (128L * 1024)

static int add_header(struct http_transfer *t, const char *line)
{
    struct curl_slist *list = curl_slist_append(t->headers, line);

    if (!list)
        return -ENOMEM;
    t->headers = list;
    return 0;
}

static bool is_framing(const char *line)
{
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "Connection", "Expect", "TE",
        "Trailer",        "Upgrade",           "Keep-Alive",
    };
    size_t i;

    for (i = 0; i < IST_COUNT(names); i++)
        if (http_has_name(line, names[i]))
            return true;
    return false;
}

static int add_caller_header(struct http_transfer *t, const char *line)
{
    size_t len = strlen(line), name_len = http_token_len(line, len);
    size_t value = name_len + 1;
    char name[128];

    if (name_len == 0 || line[name_len] != ':' || !http_is_value(line, len))
        return -EINVAL;
    if (is_framing(line))
        return 0;
    value += strspn(line + value, " \t");
    if (line[value])
        return add_header(t, line);
    /* Curl takes "Name:" for "leave it out", and "Name;" for an empty one. */
    if (name_len + 2 > sizeof(name))
        return -EINVAL;
    snprintf(name, sizeof(name), "%.*s;", (int) name_len, line);
    return add_header(t, name);
}

static int add_headers(struct http_transfer *t)
{
    const char *const *at = t->call->headers;
    bool typed = false;
    int rc = add_header(t, "Expect:");

    for (; at && *at && rc == 0; at++) {
        rc = add_caller_header(t, *at);
        typed |= http_has_name(*at, "Content-Type");
    }
    if (rc == 0 && !typed)
        rc = add_header(t, "Content-Type:");
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return rc;
}

/* The URL in words: no user, no password, no query. */
static void say_where(struct http_transfer *t)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST,
                                      CURLUPART_PORT, CURLUPART_PATH};
    char *text[IST_COUNT(parts)];
    size_t i;

    for (i = 0; i < IST_COUNT(parts); i++) {
        text[i] = NULL;
        curl_url_get(t->url, parts[i], &text[i], 0);
    }
    snprintf(t->where, sizeof(t->where), "%s %s://%s%s%s%s", t->call->method,
             text[0] ? text[0] : "", text[1] ? text[1] : "", text[2] ? ":" : "",
             text[2] ? text[2] : "", text[3] ? text[3] : "");
    http_make_plain(t->where);
    for (i = 0; i < IST_COUNT(parts); i++)
        curl_free(text[i]);
}

static int parse_url(struct http_transfer *t)
{
    const char *url = t->call->url;

    if (strncasecmp(url, "http://", 7) && strncasecmp(url, "https://", 8))
        return -EINVAL;
    t->url = curl_url();
    if (!t->url)
        return -ENOMEM;
    if (curl_url_set(t->url, CURLUPART_URL, url,
                     CURLU_PATH_AS_IS | CURLU_DISALLOW_USER))
        return -EINVAL;
    say_where(t);
    return 0;
}

static bool may_repeat(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           strcmp(method, "OPTIONS") == 0;
}

static bool wants_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

/* Curl's CURLOPT_READFUNCTION. */
static size_t read_body(char *buf, size_t one, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    ssize_t size =
        t->cancelled ? -ECANCELED : t->call->on_body(t->call, buf, one * n);

    if (size == -EAGAIN) {
        http_pause(t);
        return CURL_READFUNC_PAUSE;
    }
    if (size < 0) {
        http_refuse(t, (int) size, "");
        return CURL_READFUNC_ABORT;
    }
    return (size_t) size;
}

static void set_streamed(struct http_transfer *t)
{
    const struct ist_http_call *call = t->call;
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, t);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                     call->body_length == UINT64_MAX
                         ? (curl_off_t) -1
                         : (curl_off_t) call->body_length);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
}

static void set_method(struct http_transfer *t)
{
    const struct ist_http_call *call = t->call;
    CURL *easy = t->easy;

    if (call->on_body) {
        set_streamed(t);
    } else if (call->body_size || wants_body(call->method)) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         call->body_size ? call->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) call->body_size);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    /* Curl sends a request again when a kept connection dies before the
     * answer's first byte. The peer may have obeyed the first one, though. */
    if (!may_repeat(call->method))
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

static void set_limits(struct http_transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, t->http->proxy ? t->http->proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A name being resolved in curl's thread must not hold up a cancel. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long) t->http->conf.connect_timeout_ms);
}

static void set_tls(struct http_transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->call->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->call->insecure ? 0L : 2L);
    if (t->call->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, t->call->ca_file);
}

/* Curl's CURLOPT_OPENSOCKETFUNCTION. Curl may go on to the name's next address
 * after a refusal: http_on_connected() ends that. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *to)
{
    struct http_transfer *t = arg;

    (void) purpose;
    if (!t->call->may_connect(t->call, &to->addr)) {
        http_refuse(t, -EACCES, "an address that may not be called");
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_may_connect(struct http_transfer *t)
{
    if (!t->call->may_connect)
        return;
    curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
}

static void set_callbacks(struct http_transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, http_on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
}

/* -errno with words in t->what. */
int http_set_up(struct http_transfer *t)
{
    size_t method_len = strlen(t->call->method);
    int rc = parse_url(t);

    if (rc == -EINVAL)
        http_refuse(t, rc, "not a URL that can be called");
    if (rc)
        return rc;
    if (method_len == 0 ||
        http_token_len(t->call->method, method_len) < method_len)
        return http_refuse(t, -EINVAL, "not a method"), -EINVAL;
    t->easy = curl_easy_init();
    if (!t->easy)
        return -ENOMEM;
    curl_easy_setopt(t->easy, CURLOPT_CURLU, t->url);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "isthmus/" IST_VERSION);
    set_limits(t);
    set_tls(t);
    set_callbacks(t);
    set_method(t);
    set_may_connect(t);
    rc = add_headers(t);
    if (rc == -EINVAL)
        http_refuse(t, rc, "not a header that can be sent");
    return rc;
}
