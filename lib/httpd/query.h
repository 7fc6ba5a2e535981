/* The target of a request, taken apart: path and query of RFC 3986, decoded
 * once and strictly. Pure; what it returns lives in the arena it is given. */
#ifndef HTTPD_QUERY_H
#define HTTPD_QUERY_H

#include "base/arena.h"
#include "base/sb.h"

#include <stddef.h>

/* Most parameters of one query; more is IST_QUERY_E_MANY. */
#define IST_QUERY_PARAMS_MAX 1024

/* One parameter of the query, percent-decoded. */
struct ist_httpd_param {
    const char *name, *value; /* NUL-terminated; no NUL inside. */
};

/* Positive results: what is wrong with the text. */
enum ist_query_outcome {
    IST_QUERY_E_ESCAPE = 1, /* '%' without two hex digits. */
    IST_QUERY_E_BYTE,       /* A byte that must not stand there as it is. */
    IST_QUERY_E_CONTROL,    /* A NUL, or in a path any control character. */
    IST_QUERY_E_UTF8,       /* Decoded, it is not UTF-8. */
    IST_QUERY_E_SEGMENT,    /* A path with "//", "." or "..". */
    IST_QUERY_E_SLASH,      /* A path with an encoded slash or backslash. */
    IST_QUERY_E_TWICE,      /* A path that is encoded once more inside. */
    IST_QUERY_E_ORIGIN,     /* Does not begin with a slash. */
    IST_QUERY_E_MANY,       /* More parameters than the cap. */
};

/* A phrase for an outcome; static. */
const char *ist_query_text(int outcome);

/* Decodes the path at the front of 'target' (up to '?' or the end). Refused is
 * all that two programs could read in two ways. -ENOMEM when the arena is
 * full. */
int ist_query_path(struct ist_arena *, const char *target, const char **ret);

/* Decodes the parameters after the first '?' of 'target', in the order sent,
 * names and duplicates as they are. '+' is a space; one without '=' has the
 * value ""; empty ones ("a&&b") are left out. */
int ist_query_params(struct ist_arena *, const char *target,
                     const struct ist_httpd_param **ret, size_t *ret_n);

/* Appends text percent-encoded, fit for a query or one part of a path. */
void ist_query_encode(struct ist_sb *out, const char *text);

#endif
