#include "api/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int status;
    const char *code, *title;
    bool is_ours; /* Never the server's own refusal. */
    const char *remedy;
} rows[] = {
    [API_BAD_PARAMETER] = {400, "bad_parameter", "Bad query parameter", true,
                           "The detail names the parameter and what it takes. "
                           "A marker fits only the list and sort that gave "
                           "it: begin again without it."},
    [API_BAD_REQUEST] = {400, "bad_request", "Bad request", false,
                         "The request breaks HTTP or names its path in two "
                         "ways. The detail says where."},
    [API_UNAUTHORIZED] = {401, "unauthorized", "Login needed", false,
                          "Send the header Authorization: Bearer TOKEN."},
    [API_FORBIDDEN] = {403, "forbidden", "Not allowed", false,
                       "Ask with the token of somebody who may, or for what "
                       "is your project's."},
    [API_NOT_FOUND] = {404, "not_found", "Not found", false,
                       "No site has it, and every site that was asked has "
                       "answered; or there is no such path."},
    [API_METHOD] = {405, "method_not_allowed", "Method not allowed", false,
                    "The path is right, but takes another method; the detail "
                    "says which."},
    [API_PARTIAL] = {504, "partial", "Not every site answered", true,
                     "partial=deny was asked for. The sites are named with "
                     "their reasons; partial=allow gives what the others "
                     "have."},
    [API_UNREACHABLE] = {503, "unreachable", "Not every site answered", true,
                         "The object may be at a site that did not answer. "
                         "Try again after Retry-After."},
    [API_TOO_LARGE] = {413, "too_large", "Request body too large", false,
                       "What this API takes as a body is small."},
    [API_URI_TOO_LONG] = {414, "uri_too_long", "Request line too long", false,
                          "Ask with fewer values."},
    [API_HEADERS] = {431, "headers_too_large", "Headers too large", false,
                     "Send fewer or shorter headers."},
    [API_TIMEOUT] = {408, "timeout", "Request not complete in time", false,
                     "The request stopped in the middle. Send it again."},
    [API_MEDIA] = {415, "unsupported_media_type", "Unsupported media type",
                   false, "Send no Content-Encoding."},
    [API_BUSY] = {503, "busy", "Too busy", false,
                  "The hub works on as many requests as it may, or is going "
                  "down. Try again after Retry-After."},
    [API_INTERNAL] = {500, "internal", "Internal error", false,
                      "The hub ran out of memory for this request: ask for "
                      "fewer rows, or for fewer members with fields=."},
};

const int api_problem_statuses[] = {400, 401, 403, 404, 405, 408, 413,
                                    414, 415, 431, 500, 503, 504, 0};

static void put_text(struct ist_sb *out, const char *name, const char *text)
{
    ist_sb_printf(out, "\"%s\":", name);
    ist_sb_json(out, text, strlen(text));
}

static bool is_lacking(const struct api_site *site)
{
    return site->state != API_SITE_ANSWERED || site->n_skipped > 0;
}

size_t api_sites_lacking(const struct api_sites *sites)
{
    size_t n = 0;

    for (size_t i = 0; i < sites->n; i++)
        n += is_lacking(&sites->all[i]);
    return n;
}

/* A thousand of them may stand in every answer: they are written where room was
 * made for all of one, by copies whose length is known, and no printf. */
#define SITE_ROOM 256 /* Of all but the reason. */

#define PUT(at, literal)                                                       \
    ((char *) memcpy(at, literal, sizeof(literal) - 1) + sizeof(literal) - 1)

static char *put_number(char *at, uint64_t n)
{
    char digits[24], *first = digits + sizeof(digits);
    size_t len;

    do
        *--first = (char) ('0' + n % 10);
    while (n /= 10);
    len = (size_t) (digits + sizeof(digits) - first);
    memcpy(at, first, len);
    return at + len;
}

static char *put_state(char *at, enum api_site_state state)
{
    switch (state) {
    case API_SITE_ANSWERED:
        return PUT(at, "\",\"state\":\"answered\"");
    case API_SITE_STALE:
        return PUT(at, "\",\"state\":\"stale\"");
    case API_SITE_FAILED:
        break;
    }
    return PUT(at, "\",\"state\":\"failed\"");
}

static void put_site(struct ist_sb *out, const struct api_site *site)
{
    bool failed = site->state == API_SITE_FAILED;
    char *start = ist_sb_reserve(out, SITE_ROOM), *at = start;

    if (!at)
        return;
    at = PUT(at, "{\"site\":\"");
    at = stpcpy(at, site->site->name);
    at = put_state(at, site->state);
    if (failed || site->age_ms == UINT64_MAX)
        at = PUT(at, ",\"age_ms\":null");
    else
        at = put_number(PUT(at, ",\"age_ms\":"), site->age_ms);
    at = put_number(PUT(at, ",\"latency_ms\":"), site->latency_ms);
    if (failed && site->http)
        at =
            put_number(PUT(at, ",\"upstream_status\":"), (uint64_t) site->http);
    if (!failed && site->n_skipped)
        at = put_number(PUT(at, ",\"skipped\":"), site->n_skipped);
    if (is_lacking(site)) {
        *at++ = ',';
        out->len += (size_t) (at - start);
        put_text(out, "reason", site->reason);
        ist_sb_putc(out, '}');
    } else {
        at = PUT(at, ",\"reason\":null}");
        out->len += (size_t) (at - start);
    }
}

void api_problem_sites(struct ist_sb *out, const struct api_sites *sites,
                       bool lacking_only)
{
    bool first = true;

    ist_sb_putc(out, '[');
    for (size_t i = 0; i < sites->n; i++) {
        if (lacking_only && !is_lacking(&sites->all[i]))
            continue;
        if (!first)
            ist_sb_putc(out, ',');
        first = false;
        put_site(out, &sites->all[i]);
    }
    ist_sb_putc(out, ']');
}

/* 'more' is one header more, or NULL. */
static void reply(struct ist_httpd_request *request, enum api_problem problem,
                  int status, const struct api_sites *sites, const char *detail,
                  const struct ist_httpd_header *more)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", "application/problem+json"},
        {"Cache-Control", "no-store"},
        {"Retry-After", "5"},
        {"WWW-Authenticate", "Bearer realm=\"isthmus\""},
    };
    struct ist_httpd_header used[5] = {headers[0], headers[1]};
    size_t n = 2, size;
    struct ist_sb out;
    char *body;

    if (status == 503 || status == 504)
        used[n++] = headers[2];
    if (status == 401)
        used[n++] = headers[3];
    if (more)
        used[n++] = *more;
    ist_sb_init(&out, 0);
    ist_sb_printf(&out, "{\"type\":\"/api/docs/errors#%s\",",
                  rows[problem].code);
    put_text(&out, "title", rows[problem].title);
    ist_sb_printf(&out, ",\"status\":%d,", status);
    put_text(&out, "detail", detail);
    ist_sb_putc(&out, ',');
    put_text(&out, "instance", request->id);
    ist_sb_printf(&out, ",\"code\":\"%s\"", rows[problem].code);
    if (sites) {
        ist_sb_puts(&out, ",\"sites\":");
        api_problem_sites(&out, sites, true);
    }
    ist_sb_puts(&out, "}\n");
    body = ist_sb_take(&out, &size);
    ist_sb_fini(&out);
    ist_httpd_reply_take(request, status, used, n, body, body ? size : 0);
}

void api_problem_reply(struct ist_httpd_request *request,
                       enum api_problem problem, const struct api_sites *sites,
                       const char *fmt, ...)
{
    char detail[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    reply(request, problem, rows[problem].status, sites, detail, NULL);
}

void api_problem_method(struct ist_httpd_request *request, const char *possible)
{
    const struct ist_httpd_header allow = {"Allow", possible};
    char detail[200];

    snprintf(detail, sizeof(detail), "%.20s is not possible here: only %.100s.",
             request->method, possible);
    reply(request, API_METHOD, rows[API_METHOD].status, NULL, detail, &allow);
}

void api_problem_page(struct ist_sb *out)
{
    ist_sb_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><meta charset="
                     "\"utf-8\"><title>Isthmus: errors</title>\n"
                     "<h1>Errors of the native API</h1>\n<dl>\n");
    for (size_t i = 0; i < IST_COUNT(rows); i++)
        ist_sb_printf(out,
                      "<dt id=\"%s\"><code>%s</code> (%d) %s</dt>\n"
                      "<dd>%s</dd>\n",
                      rows[i].code, rows[i].code, rows[i].status, rows[i].title,
                      rows[i].remedy);
    ist_sb_puts(out, "</dl></html>\n");
}

bool api_has_params(struct ist_httpd_request *http)
{
    if (http->n_params)
        api_problem_reply(http, API_BAD_PARAMETER, NULL,
                          "'%.40s' is not a parameter of this request.",
                          http->params[0].name);
    return http->n_params > 0;
}

void api_problem_refuse(void *arg, struct ist_httpd_request *request,
                        int status, const char *reason)
{
    (void) arg;
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (rows[i].status == status && !rows[i].is_ours) {
            reply(request, (enum api_problem) i, status, NULL, reason, NULL);
            return;
        }
    }
    reply(request, API_BAD_REQUEST, status, NULL, reason, NULL);
}
