/* Small clouds behind http/client.h: instead of talking HTTP, this
 * implementation of that header answers from memory, on whatever loop it is
 * given, so also on the virtual clock. Linked in place of lib/http.
 *
 * A site is known by its host: "http://hkg.test:5000/v3" is Keystone at the
 * site whose host is "hkg.test", whatever the port of its URL says is kept in
 * what the catalog says. Paths, collections and members are those of the
 * agent's own tables (os/rows.h, model/kind.h): what is tested against this
 * is the generic code, and that the tables fit the services is tested against
 * real ones.
 *
 * Everything belongs to the loop's thread. */
#ifndef FAKE_CLOUD_HTTP_H
#define FAKE_CLOUD_HTTP_H

#include "http/client.h"
#include "os/rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_fault {
    FAKE_FINE,
    FAKE_REFUSED,   /* No connection: -ECONNREFUSED. */
    FAKE_SILENT,    /* Nothing ever comes. */
    FAKE_CUT,       /* The connection breaks in mid-body: -ECONNRESET. */
    FAKE_TRUNCATED, /* The body ends too early, and nobody notices. */
    FAKE_HTML,      /* 200, with a page for people. */
    FAKE_ERROR,     /* 503, in the service's shape. */
    FAKE_BAD_TOKEN, /* 401, whatever the token. */
    FAKE_UNSORTED,  /* Pays no heed to what it should sort by. */
    FAKE_LOOP,      /* Its link to the next page leads back. */
    FAKE_ELSEWHERE, /* Its link to the next page leads to another host. */
};

struct fake_row {
    const char *kind; /* Borrowed, static. */
    char *id, *name, *project, *status;
    uint64_t created_ms; /* Wall time. */
    char *body;          /* NULL: made of the above. */
};

/* What a hook sees of a request, and what it may answer. */
struct fake_request {
    const char *method, *path, *query; /* Query without '?', or "". */
    const struct ist_http_call *call;
};

struct fake_answer {
    int status;
    const char *type; /* NULL: application/json. */
    const char *more; /* Header lines, each ended by CRLF; or NULL. */
    struct ist_sb body;
};

struct fake_site {
    char host[64];

    /* May be changed at any time, for the requests that come after. */
    uint64_t delay_ms;           /* Before the first byte. */
    size_t piece;                /* Bytes handed over at once. */
    enum fake_fault fault;       /* Of every service but Keystone. */
    const char *fault_at;        /* Only of the service of that name. */
    enum fake_fault login_fault; /* Of Keystone's logins. */
    const char *password;        /* That is accepted. */
    const char *project;         /* Id of the token's project. */
    const char *role;            /* "admin" */
    const char *region;
    uint64_t token_life_ms;
    unsigned page_max;       /* Records of one page, whatever is asked. */
    const char *without;     /* Service that the catalog lacks; or NULL. */
    const char *max_version; /* Newest microversion: "2.93". */
    /* True: 'answer' holds the answer. False: go on as usual. */
    bool (*hook)(struct fake_site *, const struct fake_request *,
                 struct fake_answer *);
    void *hook_arg;

    /* What happened. */
    unsigned n_logins, n_requests; /* Requests without logins. */
    unsigned n_running, n_running_max;
    char last_path[2048];  /* And query, of the last request. */
    char last_version[32]; /* Microversion it asked for, "" for none. */

    /* Private. */
    struct fake_row *rows; /* Owned. */
    size_t n_rows, rows_size;
    unsigned token;
    struct fake_site *next;
};

/* Known to every client until it is freed. The host is copied. */
struct fake_site *fake_site_new(const char *host);
struct fake_site *fake_site_free(struct fake_site *);

/* A row is added at the end; strings are copied. */
void fake_site_add(struct fake_site *, const char *kind, const char *id,
                   const char *name, const char *project, const char *status,
                   uint64_t created_ms);
/* The same with a body of its own, which need not be sound. */
void fake_site_add_body(struct fake_site *, const char *kind, const char *id,
                        uint64_t created_ms, const char *body);
/* False when there was none. */
bool fake_site_remove(struct fake_site *, const char *kind, const char *id);

/* Tokens given so far are refused from now on. */
void fake_site_revoke(struct fake_site *);

#endif
