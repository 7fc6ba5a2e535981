/* A streamed request body: each piece goes to who took the body, straight from
 * the daemon's buffer.
 *
 * Happy path: the daemon reads some, request_access comes here, on_body takes
 * it. When it is full, nothing of the piece is taken and the connection is
 * suspended; the daemon keeps the piece and offers it again when resumed. It
 * reads no further meanwhile, so the kernel's window closes and the client is
 * held up. One buffer of the daemon's is all a stream takes here.
 *
 * Failures: the client leaves (seen by the daemon, or by the watch of a
 * suspended connection); it sends nothing for too long, or too much; the
 * server closes. on_end tells, once. If the client is still there, the
 * connection sleeps until the request is answered, which is an early answer
 * (stream.c) like any that comes before the body's end. */
#include "httpd/server_priv.h"

#include <errno.h>

/* Has the next piece arrive. The daemon does not see a client leave whose FIN
 * is queued behind the last bytes it read (it asks for edges, and takes a short
 * read for the last), so we watch here too. */
static void flow(struct request *r)
{
    conn_wait_for(r->conn, WAIT_BODY);
    request_resume(r);
    conn_watch(r->conn);
}

void body_poke(struct request *r)
{
    /* Coming back the daemon reads without being told. */
    request_sleep(r);
    request_resume(r);
    conn_watch(r->conn);
}

bool body_begin(struct request *r)
{
    struct ist_httpd *httpd = r->httpd;

    r->pub.body_cap = UINT64_MAX;
    if (!httpd->begin)
        return false;
    /* Without a body the daemon takes an answer, though a moment later. */
    r->phase = r->pub.body_length ? PHASE_FLOW : PHASE_HELD;
    conn_wait_for(r->conn, WAIT_ANSWER);
    httpd->begin(httpd->arg, &r->pub);
    r->again = r->suspended || r->by_hand;
    if (r->answered)
        return true;
    if (!r->pub.on_body)
        return false;
    r->phase = PHASE_FLOW;
    flow(r);
    if (r->pub.body_length != UINT64_MAX &&
        r->pub.body_length > r->pub.body_cap) {
        r->again = true;
        body_fail(r, -EMSGSIZE);
    }
    return true;
}

void body_end(struct request *r, int rc)
{
    r->over = true;
    r->full = false;
    r->pub.on_end(&r->pub, rc);
}

void body_fail(struct request *r, int rc)
{
    conn_wait_for(r->conn, WAIT_ANSWER);
    request_sleep(r);
    body_end(r, rc);
}

static void go_on(struct request *r)
{
    r->full = false;
    if (!r->suspended)
        return; /* Inside on_body, which has yet to say that it is full. */
    flow(r);
}

enum MHD_Result body_piece(struct request *r, const char *data, size_t *size)
{
    int rc;

    if (*size > r->pub.body_cap - r->n_flown) {
        body_fail(r, -EMSGSIZE);
        return MHD_YES;
    }
    r->full = true;
    rc = r->pub.on_body(&r->pub, data, *size);
    if (r->answered)
        return MHD_YES; /* Asleep, or cut: nobody wants the rest. */
    if (rc == 0) {
        r->full = false;
        r->n_flown += *size;
        *size = 0;
        conn_wait_for(r->conn, WAIT_BODY);
        return MHD_YES;
    }
    conn_wait_for(r->conn, WAIT_ANSWER);
    request_sleep(r);
    if (!r->full)
        go_on(r);
    return MHD_YES;
}

void ist_httpd_resume_body(struct ist_httpd_request *pub)
{
    struct request *r = request_of(pub);

    if (r->full)
        go_on(r);
}
