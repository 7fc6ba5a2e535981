/* What the files of this room share. A client (client.c) has curl wait on the
 * loop (watch.c). A call is a transfer from its start to its end: request.c
 * says what curl is to send, answer.c takes what arrives, reason.c puts a
 * failure into words. */
#ifndef HTTP_CLIENT_PRIV_H
#define HTTP_CLIENT_PRIV_H

#include "http/client.h"

#include <bsd/sys/queue.h>
#include <curl/curl.h>

struct http_watch; /* Of watch.c. */

#define WHERE_SIZE 128

struct ist_http {
    struct ist_loop *loop; /* Borrowed. */
    struct ist_http_conf conf;
    char *proxy; /* Owned. */
    CURLM *multi;
    struct ist_timer timer; /* When curl wants to be called... */
    uv_idle_t again;        /* ... and that it wants to be at once. */
    LIST_HEAD(, http_watch) watches;
    size_t n_calls;
    unsigned depth; /* How many of curl's functions we are inside of. */
    bool again_open;
    void (*closed)(void *);
    void *closed_arg;
};

struct http_transfer {
    struct ist_http *http;      /* Borrowed. */
    struct ist_http_call *call; /* Borrowed. */
    CURL *easy;
    CURLU *url;
    struct curl_slist *headers;
    struct ist_timer kick; /* Something to do outside of curl. */
    struct ist_timer idle;
    uint64_t active_ms; /* When a byte last moved. */
    curl_off_t sent;    /* Body bytes that had gone by then. */
    uint64_t n_header;  /* Bytes of all header lines so far. */
    char length[24];    /* The first Content-Length. */
    int rc;             /* What we found wrong ourselves; or 0. */
    bool added, on_wire, head_done, cancelled, paused, resuming;
    char where[WHERE_SIZE]; /* Method and URL, without query. */
    char what[64];          /* Words for 'rc'. */
    char error[CURL_ERROR_SIZE];
};

/* ---- client.c */

/* What we found wrong ourselves: it wins over curl's own words. Returns 0,
 * which curl takes for a refusal of the piece. */
size_t http_refuse(struct http_transfer *, int rc, const char *what);

/* The end of the call; frees the transfer. Never inside one of its curl
 * callbacks. */
void http_finish(struct http_transfer *, CURLcode);

/* Takes what curl has finished with. */
void http_reap(struct ist_http *);

/* Ends the close when nothing is left to wait for. */
void http_maybe_free(struct ist_http *);

/* ---- watch.c */

/* Curl's CURLMOPT_SOCKETFUNCTION and CURLMOPT_TIMERFUNCTION. */
int http_on_socket(CURL *, curl_socket_t, int what, void *http, void *watch);
int http_on_curl_timer(CURLM *, long timeout_ms, void *http);

void http_watch_close_all(struct ist_http *);

/* ---- request.c */

/* Makes the easy handle and all that it is to send. -errno; -EINVAL has been
 * refused with words. */
int http_set_up(struct http_transfer *);

/* ---- answer.c */

/* Curl's CURLOPT_PREREQFUNCTION, _HEADERFUNCTION and _WRITEFUNCTION. */
int http_on_connected(void *transfer, char *peer, char *local, int peer_port,
                      int local_port);
size_t http_on_header(char *line, size_t one, size_t size, void *transfer);
size_t http_on_body(char *data, size_t one, size_t size, void *transfer);

/* Counts silence, if it counts now. */
void http_idle_arm(struct http_transfer *);

/* Until the caller resumes, silence is his. */
void http_pause(struct http_transfer *);

/* ---- reason.c */

/* Fills op.err and returns the errno: 'rc' if we found one ourselves. */
int http_say_why(struct http_transfer *, CURLcode, int rc);

/* Keeps printable ASCII only: curl's words quote the peer (names in a
 * certificate, say). */
void http_make_plain(char *text);

#endif
