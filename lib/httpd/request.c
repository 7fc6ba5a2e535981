/* One request, from its first line to the last byte of its answer.
 *
 *   HEAD ----> BODY ----> HELD ----> SENT ----> freed
 *     |          |          ^
 *     +----------+----------+   refused: whoever refuses holds it
 *
 * Happy path: libmicrohttpd tells of the request line (request_begin), then
 * calls request_access once with the head, once for each piece of body, and
 * once more when all is there. The handler is called then. If it answers
 * within the call, the answer is queued; if not, the connection is suspended,
 * and when the answer comes, resumed: request_access is called again in the
 * same state and queues it.
 *
 * A request ends when both sides are done with it: the daemon (conn is NULL)
 * and the handler (answered). Either can be first: the daemon may have been
 * stopped while a handler still works.
 *
 * Failures: a bad head is answered through the daemon like any other, as the
 * last of its connection. In the middle of a body the daemon takes no answer;
 * there it is written by hand (conn.c), and what the client still sends is
 * thrown away until it has read it. */
#include "httpd/server_priv.h"

#include "base/id.h"
#include "base/log.h"
#include "base/parse.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct request *request_of(struct ist_httpd_request *pub)
{
    return IST_CONTAINER(pub, struct request, pub);
}

/* ---- life -------------------------------------------------------------- */

/* The daemon is about to take the query apart into its pool, and where that
 * fails it closes without a word. We do it ourselves: show it an empty one.
 * The text is the daemon's own buffer, which it overwrites in any case. */
static void hide_query(const char *target)
{
    char *query = strchr(target, '?');

    if (query)
        query[1] = '\0';
}

void *request_begin(void *arg, const char *target, struct MHD_Connection *mhd)
{
    struct ist_httpd *httpd = arg;
    struct conn *conn = conn_of(mhd);
    struct request *r;

    if (!conn || conn->cut)
        return NULL;
    conn_shaken(conn);
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    ist_arena_init(&r->pub.arena, IST_HTTPD_ARENA_MAX);
    r->pub.target = ist_arena_strdup(&r->pub.arena, target ? target : "");
    r->pub.peer = ist_arena_strdup(&r->pub.arena, conn->peer);
    if (!r->pub.target || !r->pub.peer) {
        ist_arena_fini(&r->pub.arena);
        free(r);
        return NULL;
    }
    if (target)
        hide_query(target);
    ist_sb_init(&r->body, httpd->conf.body_max);
    r->pub.method = r->pub.path = r->pub.body = "";
    r->pub.loop = httpd->loop;
    r->httpd = httpd;
    r->conn = conn;
    conn->request = r;
    LIST_INSERT_HEAD(&httpd->requests, r, sibling);
    return r;
}

static void request_maybe_free(struct request *r)
{
    struct ist_httpd *httpd = r->httpd;

    if (r->conn || !r->answered)
        return;
    if (r->response)
        MHD_destroy_response(r->response);
    LIST_REMOVE(r, sibling);
    ist_sb_fini(&r->body);
    ist_arena_fini(&r->pub.arena);
    free(r);
    httpd_maybe_free(httpd);
}

void request_gone(struct request *r)
{
    if (r->stream) {
        stream_break(r->stream);
        return;
    }
    if (r->phase != PHASE_HELD || r->answered || r->gone)
        return;
    r->gone = true;
    if (r->pub.gone)
        r->pub.gone(&r->pub);
}

void request_completed(void *arg, struct MHD_Connection *mhd, void **request,
                       enum MHD_RequestTerminationCode code)
{
    struct request *r = *request;
    struct conn *conn;

    (void) arg, (void) mhd, (void) code;
    if (!r)
        return;
    *request = NULL;
    conn = r->conn;
    conn->request = NULL;
    conn_unwatch(conn);
    conn_wait_for(conn, WAIT_NEXT);
    r->conn = NULL;
    if (r->stream)
        stream_detach(r->stream);
    r->stream = NULL;
    if (r->phase < PHASE_HELD)
        r->answered = true; /* Nobody has heard of it. */
    if (r->answered)
        request_maybe_free(r);
    else
        request_gone(r); /* May free it. */
}

void request_resume(struct request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    conn_unwatch(r->conn);
    MHD_resume_connection(r->conn->mhd);
    httpd_kick(r->httpd);
}

/* ---- answers ----------------------------------------------------------- */

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

/* An answer the daemon would not take. */
static void write_by_hand(struct request *r, int status,
                          const struct ist_httpd_header *headers, size_t n,
                          const void *body, size_t size)
{
    struct ist_sb text;

    if (r->written || !r->conn)
        return;
    r->written = true;
    ist_sb_init(&text, 0);
    ist_sb_printf(&text, "HTTP/1.1 %d %s\r\n", status,
                  MHD_get_reason_phrase_for((unsigned) status));
    put_headers(r, headers, n, put_to_text, &text);
    ist_sb_printf(&text, "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                  size);
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
    if (r->conn && !r->overtaken && !r->by_hand) {
        give_response(r, status, response, headers, n_headers);
        return;
    }
    if (response)
        MHD_destroy_response(response);
    request_maybe_free(r);
}

void request_overtake(struct request *r)
{
    static char text[] = "shutting down\n";

    if (r->phase == PHASE_HELD && !r->answered && !r->overtaken && r->conn &&
        !r->by_hand) {
        r->last = r->overtaken = true;
        give_response(r, 503,
                      MHD_create_response_from_buffer(sizeof(text) - 1, text,
                                                      MHD_RESPMEM_PERSISTENT),
                      NULL, 0);
    }
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

    if (r->by_hand)
        write_by_hand(r, status, headers, n_headers, body, size);
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

    if (r->by_hand || size == 0) {
        ist_httpd_reply(pub, status, headers, n_headers, body, size);
        free(body);
        return;
    }
    response =
        response_new(r, headers, n_headers, body, size, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(body);
    request_answer(r, status, response, headers, n_headers);
}

/* ---- refusals ---------------------------------------------------------- */

static void refuse_plainly(struct ist_httpd_request *pub, int status,
                           const char *reason)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", "text/plain"},
    };
    char text[128];

    snprintf(text, sizeof(text), "%s\n", reason);
    ist_httpd_reply(pub, status, headers, IST_COUNT(headers), text,
                    strlen(text));
}

/* Has somebody refuse it. */
static void refuse(struct request *r, int status, const char *reason)
{
    struct ist_httpd *httpd = r->httpd;

    r->phase = PHASE_HELD;
    r->last = true;
    if (httpd->refuse && !httpd->closing)
        httpd->refuse(httpd->arg, &r->pub, status, reason);
    else
        refuse_plainly(&r->pub, status, reason);
}

/* By hand it must be said now; who refuses may take longer to let go. */
static void refuse_by_hand(struct request *r, int status, const char *reason)
{
    char text[128];

    r->by_hand = true;
    conn_wait_for(r->conn, WAIT_LINGER);
    refuse(r, status, reason);
    snprintf(text, sizeof(text), "%s\n", reason);
    write_by_hand(r, status, NULL, 0, text, strlen(text));
}

void request_late(struct request *r)
{
    struct conn *conn = r->conn;

    refuse_by_hand(r, 408, "body not sent in time");
    conn_cut(conn);
}

/* ---- what arrives ------------------------------------------------------ */

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind,
                                   const char *name, size_t name_len,
                                   const char *value, size_t value_len)
{
    struct request *r = arg;
    struct ist_check_header *h = &r->headers[r->n_headers];

    (void) kind;
    h->name = ist_arena_dup(&r->pub.arena, name, name_len);
    h->value =
        ist_arena_dup(&r->pub.arena, value ? value : "", value ? value_len : 0);
    if (!h->name || !h->value)
        return MHD_NO;
    h->name_len = name_len;
    h->value_len = value ? value_len : 0;
    r->n_headers++;
    return MHD_YES;
}

static int take_headers(struct request *r, struct MHD_Connection *mhd)
{
    int n = MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, NULL, NULL);

    r->headers =
        ist_arena_alloc(&r->pub.arena, (size_t) (n + 1) * sizeof(*r->headers));
    if (!r->headers)
        return -ENOMEM;
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, take_header, r);
    return r->n_headers == (size_t) n ? 0 : -ENOMEM;
}

const char *ist_httpd_header(const struct ist_httpd_request *pub,
                             const char *name)
{
    const struct request *r = IST_CONTAINER(pub, const struct request, pub);
    size_t i;

    for (i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

static void take_id(struct request *r)
{
    const char *given = ist_httpd_header(&r->pub, "X-Openstack-Request-Id");
    struct ist_id id;
    char uuid[IST_ID_UUID_SIZE];

    if (given && ist_check_request_id(given)) {
        strlcpy(r->pub.id, given, sizeof(r->pub.id));
        return;
    }
    id = ist_id_random();
    snprintf(r->pub.id, sizeof(r->pub.id), "req-%s", ist_id_uuid(&id, uuid));
}

/* 0, a status, or -errno. */
static int check(struct request *r, const char *version, const char **ret)
{
    struct ist_check_head head = {r->pub.method, r->pub.target, version,
                                  r->headers, r->n_headers};
    struct ist_arena *arena = &r->pub.arena;
    int rc = ist_check_head(&head, &r->httpd->conf, ret);

    if (rc)
        return rc;
    rc = ist_query_path(arena, r->pub.target, &r->pub.path);
    if (rc == 0)
        rc = ist_query_params(arena, r->pub.target, &r->pub.params,
                              &r->pub.n_params);
    if (rc <= 0)
        return rc;
    *ret = ist_query_text(rc);
    return 400;
}

/* Queues the answer, or waits for it. */
static enum MHD_Result settle(struct request *r, struct MHD_Connection *mhd)
{
    enum MHD_Result result;

    if (r->response) {
        r->phase = PHASE_SENT;
        result = MHD_queue_response(mhd, (unsigned) r->status, r->response);
        MHD_destroy_response(IST_TAKE(r->response));
        return result;
    }
    if (r->answered || r->overtaken)
        return MHD_NO; /* Out of memory. */
    r->suspended = true;
    MHD_suspend_connection(mhd);
    conn_watch(r->conn);
    return MHD_YES;
}

static enum MHD_Result refuse_head(struct request *r,
                                   struct MHD_Connection *mhd, int status,
                                   const char *reason)
{
    /* The frame is sound, and a body is on its way: let it arrive, so that
     * the client comes to reading our answer. */
    if (status == 413 && !ist_httpd_header(&r->pub, "Expect")) {
        refuse_by_hand(r, status, reason);
        return MHD_YES;
    }
    conn_wait_for(r->conn, WAIT_ANSWER);
    refuse(r, status, reason);
    return settle(r, mhd);
}

static enum MHD_Result on_head(struct request *r, struct MHD_Connection *mhd,
                               const char *method, const char *version)
{
    const char *reason = "";
    int status;

    r->pub.started_ms = ist_loop_now(r->httpd->loop);
    r->pub.method = ist_arena_strdup(&r->pub.arena, method);
    if (!r->pub.method || take_headers(r, mhd))
        return MHD_NO;
    take_id(r);
    status = check(r, version, &reason);
    if (status < 0)
        return MHD_NO;
    if (status == 0 && r->httpd->closing) {
        status = 503;
        reason = "shutting down";
    }
    if (status)
        return refuse_head(r, mhd, status, reason);
    r->phase = PHASE_BODY;
    conn_wait_for(r->conn, WAIT_BODY);
    return MHD_YES;
}

static enum MHD_Result on_piece(struct request *r, const char *data,
                                size_t *size)
{
    ist_sb_add(&r->body, data, *size);
    if (r->body.rc == -ENOBUFS)
        refuse_by_hand(r, 413, "body too large");
    else if (r->body.rc)
        return MHD_NO;
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result on_whole(struct request *r, struct MHD_Connection *mhd)
{
    struct ist_httpd *httpd = r->httpd;

    conn_wait_for(r->conn, WAIT_ANSWER);
    r->phase = PHASE_HELD;
    r->pub.body = ist_sb_text(&r->body);
    r->pub.body_size = r->body.len;
    if (httpd->closing)
        refuse(r, 503, "shutting down");
    else
        httpd->handler(httpd->arg, &r->pub);
    return settle(r, mhd);
}

enum MHD_Result request_access(void *arg, struct MHD_Connection *mhd,
                               const char *url, const char *method,
                               const char *version, const char *data,
                               size_t *size, void **request)
{
    struct request *r = *request;

    (void) arg, (void) url;
    if (!r || r->conn->cut)
        return MHD_NO;
    if (r->by_hand) {
        /* All of it thrown away: nothing behind it is served. */
        if (*size == 0)
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    if (r->phase == PHASE_HEAD)
        return on_head(r, mhd, method, version);
    if (r->phase == PHASE_HELD)
        return settle(r, mhd);
    return *size ? on_piece(r, data, size) : on_whole(r, mhd);
}
