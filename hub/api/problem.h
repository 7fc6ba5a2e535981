/* Errors of the native API: RFC 9457 problem documents. 'type' is a stable
 * URI, 'code' the word for programs, 'detail' the sentence for people:
 * what, why, and what to do next. */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "base/sb.h"
#include "httpd/server.h"

struct survey;

enum api_problem {
    API_BAD_PARAMETER,
    API_BAD_REQUEST,
    API_UNAUTHORIZED,
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

/* Answers. 'survey' (may be NULL) names each site that failed or lacks rows. */
void api_problem_reply(struct ist_httpd_request *, enum api_problem,
                       const struct survey *, const char *fmt, ...)
    IST_PRINTF(4, 5);

/* For refusals of the HTTP server itself, by their status. */
void api_problem_refuse(void *arg, struct ist_httpd_request *, int status,
                        const char *reason);

/* Appends the array of a survey's sites, "[{...}]". */
void api_problem_sites(struct ist_sb *, const struct survey *,
                       bool lacking_only);

/* Appends the page that the "type" of every problem leads to, as HTML. */
void api_problem_page(struct ist_sb *);

/* Every status that api_problem_reply() may answer: for the OpenAPI check.
 * Ends with 0. */
extern const int api_problem_statuses[];

#endif
