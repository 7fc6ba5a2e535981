/* Failures into our errno words, by a table, and into a sentence without
 * secrets. */
#include "http/client_priv.h"

#include <errno.h>
#include <string.h>

static const struct fault {
    CURLcode code;
    int rc;
    const char *area; /* Said in front of curl's words. */
} faults[] = {
    {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, ""},
    {CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH, "proxy: "},
    {CURLE_COULDNT_CONNECT, -ECONNREFUSED, ""},
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, ""},
    {CURLE_PARTIAL_FILE, -ECONNRESET, ""},
    {CURLE_GOT_NOTHING, -ECONNRESET, ""},
    {CURLE_RECV_ERROR, -ECONNRESET, ""},
    {CURLE_SEND_ERROR, -ECONNRESET, ""},
    {CURLE_SSL_CONNECT_ERROR, -EPROTO, "tls: "},
    {CURLE_PEER_FAILED_VERIFICATION, -EPROTO, "tls: "},
    {CURLE_SSL_CACERT_BADFILE, -EPROTO, "tls: "},
    {CURLE_SSL_CERTPROBLEM, -EPROTO, "tls: "},
    {CURLE_SSL_CIPHER, -EPROTO, "tls: "},
    {CURLE_SSL_ISSUER_ERROR, -EPROTO, "tls: "},
    {CURLE_WEIRD_SERVER_REPLY, -EPROTO, ""},
    {CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, ""},
    {CURLE_BAD_CONTENT_ENCODING, -EPROTO, ""},
    {CURLE_OUT_OF_MEMORY, -ENOMEM, ""},
    {CURLE_URL_MALFORMAT, -EINVAL, ""},
};

static const struct fault *fault_find(CURLcode code)
{
    static const struct fault other = {CURLE_OK, -EIO, ""};
    size_t i;

    for (i = 0; i < IST_COUNT(faults); i++)
        if (faults[i].code == code)
            return &faults[i];
    return &other;
}

/* A connection fails in more ways than refusal. */
static int connect_rc(CURL *easy)
{
    long os_errno = 0;

    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    switch (os_errno) {
    case ETIMEDOUT:
        return -ETIMEDOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
        return -EHOSTUNREACH;
    default:
        return -ECONNREFUSED;
    }
}

void http_make_plain(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

int http_say_why(struct http_transfer *t, CURLcode code, int rc)
{
    const struct fault *fault = fault_find(code);
    struct ist_op *op = &t->call->op;

    if (rc == 0) {
        rc = code == CURLE_COULDNT_CONNECT ? connect_rc(t->easy) : fault->rc;
        if (!t->error[0])
            strlcpy(t->error, curl_easy_strerror(code), sizeof(t->error));
        http_make_plain(t->error);
        ist_err_set(&op->err, rc, "%s: %s%s", t->where, fault->area, t->error);
    } else {
        ist_err_set(&op->err, rc, "%s: %s", t->where,
                    t->what[0] ? t->what : ist_err_name(rc));
    }
    if (op->state == IST_OP_CANCELLING)
        ist_err_set(&op->err, op->reason, "%s: %s", t->where,
                    op->reason == -ETIMEDOUT ? "no answer in time"
                                             : "cancelled");
    return rc;
}
