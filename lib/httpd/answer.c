/* Answers: their headers, and the ways they leave. A whole request is answered
 * through the daemon. One whose body is still on its way cannot be: there a
 * refusal is written at once (here), and a handler's answer goes out by hand,
 * as a stream (stream.c). */
#include "httpd/server_priv.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CORK_MIN (32U * 1024) /* Bytes of an answer: two TLS records. */

struct request *request_of(struct ist_httpd_request *pub)
{
    return IST_CONTAINER(pub, struct request, pub);
}

bool request_is_early(const struct request *r)
{
    return r->phase == PHASE_FLOW && r->conn && !r->overtaken && !r->by_hand;
}

/* ---- heads -------------------------------------------------------------- */

/* Headers that say how a message is framed are the daemon's. */
static bool is_framing(const char *name)
{
    static const char *const names[] = {
        "Connection",        "Content-Length", "Keep-Alive",
        "Transfer-Encoding", "Trailer",        "Upgrade",
    };
    size_t i;

    for (i = 0; i < IST_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_sendable(const struct ist_httpd_header *header)
{
    if (is_framing(header->name))
        return false;
    if (header->value[0] && ist_check_header_out(header->name, header->value))
        return true;
    ist_log_debug("httpd", "answer header left out: %.40s", header->name);
    return false;
}

typedef void put_header_fn(void *arg, const char *name, const char *value);

/* Gives all headers of an answer but the framing to 'put'. */
static void put_headers(const struct request *r,
                        const struct ist_httpd_header *headers, size_t n,
                        put_header_fn *put, void *arg)
{
    bool has_id = false;
    size_t i;

    for (i = 0; i < n; i++) {
        if (!is_sendable(&headers[i]) ||
            strcasecmp(headers[i].name, "X-Request-Id") == 0)
            continue;
        if (strcasecmp(headers[i].name, "X-Openstack-Request-Id") == 0)
            has_id = true;
        put(arg, headers[i].name, headers[i].value);
    }
    if (!r->pub.id[0])
        return;
    if (!has_id)
        put(arg, "x-openstack-request-id", r->pub.id);
    put(arg, "x-request-id", r->pub.id);
}

static void put_to_response(void *arg, const char *name, const char *value)
{
    struct MHD_Response *response = arg;

    if (MHD_add_response_header(response, name, value) != MHD_YES)
        ist_log_debug("httpd", "answer header left out: %.40s", name);
}

static void put_to_text(void *arg, const char *name, const char *value)
{
    struct ist_sb *text = arg;

    ist_sb_printf(text, "%s: %s\r\n", name, value);
}

void answer_head(struct ist_sb *text, const struct request *r, int status,
                 const struct ist_httpd_header *headers, size_t n)
{
    ist_sb_printf(text, "HTTP/1.1 %d %s\r\n", status,
                  MHD_get_reason_phrase_for((unsigned) status));
    put_headers(r, headers, n, put_to_text, text);
    ist_sb_puts(text, "Connection: close\r\n");
}

/* ---- answering ---------------------------------------------------------- */

void answer_by_hand(struct request *r, int status,
                    const struct ist_httpd_header *headers, size_t n,
                    const void *body, size_t size)
{
    struct ist_sb text;

    if (r->written || !r->conn)
        return;
    r->written = true;
    ist_sb_init(&text, 0);
    answer_head(&text, r, status, headers, n);
    ist_sb_printf(&text, "Content-Length: %zu\r\n\r\n", size);
    if (strcmp(r->pub.method, "HEAD"))
        ist_sb_add(&text, body, size);
    if (text.rc == 0)
        conn_write_last(r->conn, ist_sb_text(&text), text.len);
    ist_sb_fini(&text);
}

static struct MHD_Response *no_memory(void)
{
    static char text[] = "out of memory\n";

    return MHD_create_response_from_buffer(sizeof(text) - 1, text,
                                           MHD_RESPMEM_PERSISTENT);
}

static void give_response(struct request *r, int status,
                          struct MHD_Response *response,
                          const struct ist_httpd_header *headers, size_t n)
{
    if (!response) {
        response = no_memory();
        status = 500;
        n = 0;
    }
    if (response) {
        put_headers(r, headers, n, put_to_response, response);
        if (r->last)
            MHD_add_response_header(response, "Connection", "close");
    }
    r->response = response;
    r->status = status;
    request_resume(r);
}

void request_answer(struct request *r, int status,
                    struct MHD_Response *response,
                    const struct ist_httpd_header *headers, size_t n_headers)
{
    assert(!r->answered);
    r->answered = true;
    if (r->httpd->answered)
        r->httpd->answered(r->httpd->arg, &r->pub, status);
    if (r->conn && !r->overtaken && !r->by_hand) {
        give_response(r, status, response, headers, n_headers);
        return;
    }
    if (response)
        MHD_destroy_response(response);
    request_maybe_free(r);
}

static void overtake_held(struct request *r)
{
    static char text[] = "shutting down\n";

    r->last = r->overtaken = true;
    give_response(r, 503,
                  MHD_create_response_from_buffer(sizeof(text) - 1, text,
                                                  MHD_RESPMEM_PERSISTENT),
                  NULL, 0);
}

/* What still comes is thrown away, for as long as the close takes. */
static void overtake_flow(struct request *r)
{
    static const char text[] = "shutting down\n";

    r->overtaken = r->by_hand = true;
    answer_by_hand(r, 503, NULL, 0, text, sizeof(text) - 1);
    conn_wait_for(r->conn, WAIT_LINGER);
    request_resume(r);
}

void request_overtake(struct request *r)
{
    if (r->answered || r->overtaken || !r->conn || r->by_hand)
        return;
    if (r->phase == PHASE_HELD)
        overtake_held(r);
    else if (r->phase == PHASE_FLOW)
        overtake_flow(r);
}

/* The answer to a HEAD may say how long the one to a GET would be:
 * libmicrohttpd learns it only from a body, which it then never asks for. */
static ssize_t no_body(void *arg, uint64_t at, char *buf, size_t size)
{
    (void) arg, (void) at, (void) buf, (void) size;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *response_new(const struct request *r,
                                         const struct ist_httpd_header *headers,
                                         size_t n, char *body, size_t size,
                                         enum MHD_ResponseMemoryMode mode)
{
    uint64_t length = headers_length(headers, n);

    if (strcmp(r->pub.method, "HEAD") == 0 && size == 0 && length != UINT64_MAX)
        return MHD_create_response_from_callback(length, 1, no_body, NULL,
                                                 NULL);
    return MHD_create_response_from_buffer(size, body, mode);
}

void ist_httpd_reply(struct ist_httpd_request *pub, int status,
                     const struct ist_httpd_header *headers, size_t n_headers,
                     const void *body, size_t size)
{
    struct request *r = request_of(pub);
    struct MHD_Response *response = NULL;

    if (request_is_early(r)) {
        stream_reply(r, status, headers, n_headers, body, size);
        return;
    }
    if (r->by_hand)
        answer_by_hand(r, status, headers, n_headers, body, size);
    else
        response =
            response_new(r, headers, n_headers, size ? (char *) body : NULL,
                         size, MHD_RESPMEM_MUST_COPY);
    request_answer(r, status, response, headers, n_headers);
}

void ist_httpd_reply_take(struct ist_httpd_request *pub, int status,
                          const struct ist_httpd_header *headers,
                          size_t n_headers, char *body, size_t size)
{
    struct request *r = request_of(pub);
    struct MHD_Response *response;

    if (r->by_hand || size == 0 || request_is_early(r)) {
        ist_httpd_reply(pub, status, headers, n_headers, body, size);
        free(body);
        return;
    }
    response =
        response_new(r, headers, n_headers, body, size, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(body);
    else if (size >= CORK_MIN && r->conn)
        conn_cork(r->conn, true);
    request_answer(r, status, response, headers, n_headers);
}
