/* One request, from its first line to the last byte of its answer.
 *
 *   HEAD --+--> BODY --+--> HELD ----> SENT ----> freed
 *     |    |           |     ^          ^
 *     |    +--> FLOW --+     |          |  answered before the body's end
 *     |          +-----------|----------+
 *     +--> ... --------------+   refused: whoever refuses holds it
 *
 * Happy path: libmicrohttpd tells of the request line (request_begin), then
 * calls request_access once with the head, once for each piece of body, and
 * once more when all is there. The body is collected (BODY), or streamed to
 * who took it when the head was there (FLOW, body.c). When it is whole, the
 * handler is called, or the stream's end told. If the answer comes within the
 * call, it is queued; if not, the connection is suspended, and when the answer
 * comes, resumed: request_access is called again in the same state and queues
 * it.
 *
 * A request ends when both sides are done with it: the daemon (conn is NULL)
 * and the handler (answered). Either can be first: the daemon may have been
 * stopped while a handler still works.
 *
 * Failures: a bad head is answered through the daemon like any other, as the
 * last of its connection. In the middle of a body the daemon takes no answer;
 * there it is written by hand, and what the client still sends is thrown away
 * until it has read it. */
#include "httpd/server_priv.h"

#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

void request_maybe_free(struct request *r)
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

void request_gone(struct request *r, int rc)
{
    if (r->stream) {
        stream_break(r->stream);
        return;
    }
    if ((r->phase != PHASE_HELD && r->phase != PHASE_FLOW) || r->answered ||
        r->gone)
        return;
    r->gone = true;
    if (r->phase == PHASE_FLOW && !r->over)
        body_end(r, rc);
    else if (r->pub.gone)
        r->pub.gone(&r->pub);
}

/* What the end of its connection means to a request. */
static int rc_of(enum MHD_RequestTerminationCode code)
{
    switch (code) {
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
        return -ETIMEDOUT;
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN:
        return -ECANCELED;
    default:
        return -ECONNRESET;
    }
}

void request_completed(void *arg, struct MHD_Connection *mhd, void **request,
                       enum MHD_RequestTerminationCode code)
{
    struct request *r = *request;
    struct conn *conn;

    (void) arg, (void) mhd;
    if (!r)
        return;
    *request = NULL;
    conn = r->conn;
    conn->request = NULL;
    conn_cork(conn, false);
    conn_unwatch(conn);
    conn_wait_for(conn, WAIT_NEXT);
    r->conn = NULL;
    if (r->stream)
        stream_detach(r->stream);
    r->stream = NULL;
    if (r->phase < PHASE_FLOW)
        r->answered = true; /* Nobody has heard of it. */
    if (r->answered)
        request_maybe_free(r);
    else
        request_gone(r, rc_of(code)); /* May free it. */
}

void request_sleep(struct request *r)
{
    if (!r->suspended) {
        r->suspended = true;
        MHD_suspend_connection(r->conn->mhd);
    }
    conn_watch(r->conn);
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

void request_cut(struct request *r)
{
    conn_cut(r->conn);
    request_resume(r);
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
    answer_by_hand(r, status, NULL, 0, text, strlen(text));
}

void request_late(struct request *r)
{
    struct conn *conn = r->conn;

    if (r->phase == PHASE_FLOW) {
        body_fail(r, -ETIMEDOUT);
        return;
    }
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

bool ist_httpd_header_at(const struct ist_httpd_request *pub, size_t i,
                         struct ist_httpd_header *ret)
{
    const struct request *r = IST_CONTAINER(pub, const struct request, pub);

    if (i >= r->n_headers)
        return false;
    *ret = (struct ist_httpd_header){r->headers[i].name, r->headers[i].value};
    return true;
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
    r->pub.body_length = ist_check_length(&head);
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
    request_sleep(r);
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
    if (body_begin(r))
        return MHD_YES;
    if (r->pub.body_length != UINT64_MAX &&
        r->pub.body_length > r->httpd->conf.body_max)
        return refuse_head(r, mhd, 413, "body too large");
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
    bool flowed = r->phase == PHASE_FLOW;

    conn_wait_for(r->conn, WAIT_ANSWER);
    r->phase = PHASE_HELD;
    if (flowed) {
        conn_unwatch(r->conn);
        body_end(r, 0);
        return settle(r, mhd);
    }
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
    if (r->again) {
        r->again = false;
        return MHD_YES;
    }
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
    if (*size == 0)
        return on_whole(r, mhd);
    return r->phase == PHASE_FLOW ? body_piece(r, data, size)
                                  : on_piece(r, data, size);
}
