/* What the files of this room share. The server has connections (conn.c), a
 * connection has at most one request (request.c), whose body may be streamed
 * (body.c). It is answered (answer.c), perhaps by a stream (stream.c), which
 * can outlive both. */
#ifndef HTTPD_SERVER_PRIV_H
#define HTTPD_SERVER_PRIV_H

#include "httpd/check.h"
#include "httpd/server.h"

#include <bsd/sys/queue.h>
#include <microhttpd.h>
#include <netinet/in.h>

struct conn;
struct request;

struct ist_httpd {
    struct ist_loop *loop; /* Borrowed. */
    struct ist_httpd_conf conf;
    ist_httpd_handler_fn *handler;
    ist_httpd_refuse_fn *refuse;
    ist_httpd_begin_fn *begin;       /* Or NULL. */
    ist_httpd_answered_fn *answered; /* Or NULL. */
    void *arg;

    struct MHD_Daemon *daemon; /* NULL once stopped. */
    int listen_fd;             /* -1 once closed. */
    unsigned port;
    bool tls;

    uv_poll_t poll; /* On the daemon's epoll descriptor. */
    bool poll_open;
    struct ist_timer timer; /* When the daemon wants to be run... */
    uv_idle_t again;        /* ... and that it wants to be at once. */
    bool again_open;
    bool in_run, kicked;

    LIST_HEAD(, conn) conns;
    LIST_HEAD(, conn) shaking; /* TLS, and no request yet. */
    LIST_HEAD(, request) requests;
    LIST_HEAD(, ist_httpd_stream) streams;

    bool closing;
    struct ist_timer grace;
    void (*closed)(void *);
    void *closed_arg;
};

/* What a connection waits for, and so what its deadline is of. */
enum conn_wait {
    WAIT_HEAD,   /* The first head. */
    WAIT_BODY,   /* The rest of a request, or of a stream the next piece. */
    WAIT_ANSWER, /* Us: no deadline. */
    WAIT_TAKE,   /* The client to take some of what we write by hand. */
    WAIT_NEXT,   /* Another request, or nothing. */
    WAIT_LINGER, /* The client to read our last word. */
};

struct conn {
    struct ist_httpd *httpd;    /* Borrowed. */
    struct MHD_Connection *mhd; /* Borrowed; NULL once closed. */
    struct request *request;    /* Borrowed; the one being served. */
    int fd;                     /* The daemon's. */
    enum conn_wait wait;
    struct ist_timer timer;
    uint64_t idle_deadline; /* Of WAIT_NEXT. */
    uint64_t n_seen;        /* Bytes received when last looked. */
    bool cut;               /* Nothing more is served on it. */
    bool shaking, parked;
    bool corked;
    uv_poll_t watch; /* For the client leaving. */
    bool watch_open;
    char peer[INET6_ADDRSTRLEN];
    LIST_ENTRY(conn) sibling;
    LIST_ENTRY(conn) shaking_link;
};

enum phase {
    PHASE_HEAD, /* The request line is known. */
    PHASE_BODY, /* The head is good; the body arrives. */
    PHASE_FLOW, /* The same, and whoever began it knows of it. */
    PHASE_HELD, /* Whole, with the handler; or with whoever refuses. */
    PHASE_SENT, /* An answer is under way. */
};

struct request {
    struct ist_httpd_request pub;
    struct ist_httpd *httpd; /* Borrowed. */
    struct conn *conn;       /* Borrowed; NULL when it is done with us. */
    enum phase phase;
    struct ist_check_header *headers; /* In the arena. */
    size_t n_headers;
    struct ist_sb body;
    uint64_t n_flown; /* Bytes of a streamed body that were taken. */
    int status;
    struct MHD_Response *response;   /* Owned; the answer to be queued. */
    struct ist_httpd_stream *stream; /* Borrowed; that feeds the answer. */
    bool suspended;
    bool again;     /* The daemon will show the head once more. */
    bool full;      /* The body is held back. */
    bool over;      /* on_end has been called. */
    bool last;      /* The connection ends with this request. */
    bool by_hand;   /* Too late for the daemon to answer: we write it. */
    bool written;   /* ... and have. */
    bool answered;  /* The handler has done its part. */
    bool overtaken; /* We answered in its place. */
    bool gone;      /* The handler was told that the client left. */
    bool told;      /* ... or all that is to be told when the server closes. */
    LIST_ENTRY(request) sibling;
};

/* ---- server.c */

/* Has the daemon run in the loop's next turn. */
void httpd_kick(struct ist_httpd *);

/* Ends the close when nothing is left to wait for. */
void httpd_maybe_free(struct ist_httpd *);

/* ---- conn.c */

void conn_notify(void *arg, struct MHD_Connection *, void **ret_conn,
                 enum MHD_ConnectionNotificationCode);
struct conn *conn_of(struct MHD_Connection *);
void conn_wait_for(struct conn *, enum conn_wait);

/* Corked, full segments only go out: each TLS record would make one of its own,
 * and wake the client for it. What is left goes out when it is taken off. */
void conn_cork(struct conn *, bool on);

/* Watches for the client leaving, while the daemon does not. */
void conn_watch(struct conn *);
void conn_unwatch(struct conn *);
/* Calls stream_writable() as soon as the socket takes something. */
int conn_watch_write(struct conn *);

/* Its first request is here. */
void conn_shaken(struct conn *);

/* Puts TLS connections that wait for their client to sleep, until it says
 * something. After each run of the daemon. */
void conn_park_all(struct ist_httpd *);
void conn_unpark_all(struct ist_httpd *);

/* Writes past the daemon, which must not be sending: how many bytes, -EAGAIN,
 * or -EPIPE. After -EAGAIN the same bytes must come again. */
ssize_t conn_write(struct conn *, const char *data, size_t size);
/* Closes our direction. */
void conn_bye(struct conn *);
/* Both. What does not fit the socket's buffer is lost. */
void conn_write_last(struct conn *, const char *text, size_t len);

/* No byte more in either direction; the daemon notices and closes. */
void conn_cut(struct conn *);

/* ---- request.c */

void *request_begin(void *arg, const char *target, struct MHD_Connection *);
enum MHD_Result request_access(void *arg, struct MHD_Connection *,
                               const char *url, const char *method,
                               const char *version, const char *data,
                               size_t *size, void **request);
void request_completed(void *arg, struct MHD_Connection *, void **request,
                       enum MHD_RequestTerminationCode);

/* The client left, or we give up: tells who holds it. */
void request_gone(struct request *, int rc);
/* The body did not come in time. */
void request_late(struct request *);
/* Frees what both sides are done with. */
void request_maybe_free(struct request *);

/* Puts the connection to sleep, watching for the client leaving... */
void request_sleep(struct request *);
/* ... and wakes it. */
void request_resume(struct request *);
/* Cuts the connection, asleep or not. */
void request_cut(struct request *);

/* ---- body.c */

/* Offers a good head to 'begin'. True if it took the body or answered. */
bool body_begin(struct request *);
/* A piece; the daemon's callback. */
enum MHD_Result body_piece(struct request *, const char *data, size_t *size);
/* The client sends no more: has the daemon read up to there. */
void body_poke(struct request *);
/* It has ended: tells who took it. The request may then be answered, and if
 * its connection is closed, freed. */
void body_end(struct request *, int rc);
/* It ends here, though the client is there: has no more of it read. */
void body_fail(struct request *, int rc);

/* ---- answer.c */

struct request *request_of(struct ist_httpd_request *);

/* Is the daemon unable to take its answer, because the body is under way? */
bool request_is_early(const struct request *);

/* Takes the response, which may be NULL (memory is out). */
void request_answer(struct request *, int status, struct MHD_Response *,
                    const struct ist_httpd_header *, size_t n_headers);
/* Answers 503 in the handler's place, if it has not answered. */
void request_overtake(struct request *);

/* Status line and headers as they are sent, without the framing and without
 * the empty line. */
void answer_head(struct ist_sb *, const struct request *, int status,
                 const struct ist_httpd_header *, size_t n_headers);
/* The refusal of a request whose body is under way. */
void answer_by_hand(struct request *, int status,
                    const struct ist_httpd_header *, size_t n_headers,
                    const void *body, size_t size);

/* ---- stream.c */

/* The client left, or we give up. */
void stream_break(struct ist_httpd_stream *);
void stream_break_all(struct ist_httpd *);
/* The request it answers is over. */
void stream_detach(struct ist_httpd_stream *);
/* The socket takes more of what is written by hand. */
void stream_writable(struct ist_httpd_stream *);
/* A whole answer to a request that is early. */
void stream_reply(struct request *, int status, const struct ist_httpd_header *,
                  size_t n_headers, const void *body, size_t size);

/* A Content-Length among the headers; UINT64_MAX when there is none. */
uint64_t headers_length(const struct ist_httpd_header *, size_t n_headers);

#endif
