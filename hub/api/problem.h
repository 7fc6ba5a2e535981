/* Errors of the native API: RFC 9457 problem documents. 'type' is a stable
 * URI, 'code' the word for programs, 'detail' the sentence for people:
 * what, why, and what to do next. */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "base/sb.h"
#include "httpd/server.h"

#include "sites/registry.h"

/* What became of a site that an answer is about. */
enum api_site_state {
    API_SITE_ANSWERED, /* Its rows are there. */
    API_SITE_STALE,    /* Its last known rows are: it could not be asked. */
    API_SITE_FAILED,   /* None of its rows is. */
};

struct api_site {
    const struct sites_site *site;
    enum api_site_state state;
    uint64_t latency_ms;
    uint64_t age_ms;    /* Of its rows; UINT64_MAX: not known. */
    uint64_t n_skipped; /* Rows that it has and could not give. */
    int http;           /* Status of its service when it failed, or 0. */
    const char *reason; /* Of what is not an answer in full; borrowed. */
};

/* All sites that were chosen, in the order of their names. */
struct api_sites {
    const struct api_site *all;
    size_t n;
};

/* How many did not give all that they have, as of now. */
size_t api_sites_lacking(const struct api_sites *);

enum api_problem {
    API_BAD_PARAMETER,
    API_BAD_REQUEST,
    API_UNAUTHORIZED,
    API_FORBIDDEN,
    API_NOT_FOUND,
    API_METHOD,
    API_PARTIAL,     /* partial=deny, and a site lacks rows. */
    API_UNREACHABLE, /* It may exist where nobody answers. */
    API_TOO_LARGE,
    API_URI_TOO_LONG,
    API_HEADERS,
    API_TIMEOUT,
    API_MEDIA,
    API_BUSY,
    API_INTERNAL,
};

/* Answers. 'sites' may be NULL; those of them that lack rows are named. */
void api_problem_reply(struct ist_httpd_request *, enum api_problem,
                       const struct api_sites *, const char *fmt, ...)
    IST_PRINTF(4, 5);

/* 405, with the methods that are possible in its header: "GET, POST" (RFC 9110,
 * 15.5.6). */
void api_problem_method(struct ist_httpd_request *, const char *possible);

/* Has a request that takes no parameters any? Then it is answered. */
bool api_has_params(struct ist_httpd_request *);

/* For refusals of the HTTP server itself, by their status. */
void api_problem_refuse(void *arg, struct ist_httpd_request *, int status,
                        const char *reason);

/* Appends them as an array, "[{...}]". */
void api_problem_sites(struct ist_sb *, const struct api_sites *,
                       bool lacking_only);

/* Appends the page that the "type" of every problem leads to, as HTML. */
void api_problem_page(struct ist_sb *);

/* Every status that api_problem_reply() may answer: for the OpenAPI check.
 * Ends with 0. */
extern const int api_problem_statuses[];

#endif
