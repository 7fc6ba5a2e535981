/* What the files of this room share. The server has connections (conn.c), a
 * connection has at most one request (request.c), and a request may have been
 * answered by a stream (stream.c), which can outlive both. */
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
    WAIT_BODY,   /* The rest of a request. */
    WAIT_ANSWER, /* Us: no deadline. */
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
    uv_poll_t watch; /* For the client leaving. */
    bool watch_open;
    char peer[INET6_ADDRSTRLEN];
    LIST_ENTRY(conn) sibling;
    LIST_ENTRY(conn) shaking_link;
};

enum phase {
    PHASE_HEAD, /* The request line is known. */
    PHASE_BODY, /* The head is good; the body arrives. */
    PHASE_HELD, /* With the handler, or whoever refuses. */
    PHASE_SENT, /* An answer is in the daemon's hands. */
};

struct request {
    struct ist_httpd_request pub;
    struct ist_httpd *httpd; /* Borrowed. */
    struct conn *conn;       /* Borrowed; NULL when it is done with us. */
    enum phase phase;
    struct ist_check_header *headers; /* In the arena. */
    size_t n_headers;
    struct ist_sb body;
    int status;
    struct MHD_Response *response;   /* Owned; the answer to be queued. */
    struct ist_httpd_stream *stream; /* Borrowed; that feeds the answer. */
    bool suspended;
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

/* Watches for the client leaving, while the daemon does not. */
void conn_watch(struct conn *);
void conn_unwatch(struct conn *);

/* Its first request is here. */
void conn_shaken(struct conn *);

/* Puts TLS connections that wait for their client to sleep, until it says
 * something. After each run of the daemon. */
void conn_park_all(struct ist_httpd *);
void conn_unpark_all(struct ist_httpd *);

/* Writes bytes past the daemon, which must not be sending, and closes our
 * direction. What does not fit the socket's buffer is lost. */
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
void request_gone(struct request *);
/* The body did not come in time. */
void request_late(struct request *);
/* Answers 503 in the handler's place, if it has not answered. */
void request_overtake(struct request *);

/* Wakes the connection of a request that has something for it. */
void request_resume(struct request *);
/* Takes the response, which may be NULL (memory is out). */
void request_answer(struct request *, int status, struct MHD_Response *,
                    const struct ist_httpd_header *, size_t n_headers);

/* ---- stream.c */

/* The client left, or we give up. */
void stream_break(struct ist_httpd_stream *);
void stream_break_all(struct ist_httpd *);
/* The request it answers is over. */
void stream_detach(struct ist_httpd_stream *);

/* A Content-Length among the headers; UINT64_MAX when there is none. */
uint64_t headers_length(const struct ist_httpd_header *, size_t n_headers);

#endif
