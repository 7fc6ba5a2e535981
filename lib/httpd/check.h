/* Is this head fit to be answered?  The checks of an HTTP/1.1 request head
 * that libmicrohttpd leaves to its user (it serves CL with TE, two Hosts,
 * names with spaces, and more), RFC 9110 and 9112. Pure. */
#ifndef HTTPD_CHECK_H
#define HTTPD_CHECK_H

#include "httpd/server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ist_check_header {
    const char *name, *value; /* NUL-terminated. */
    size_t name_len, value_len;
};

/* A head as it came. */
struct ist_check_head {
    const char *method, *target, *version;
    const struct ist_check_header *headers;
    size_t n_headers;
};

/* 0, or the status to refuse it with: 400, 413, 414, 431, 501, 505. '*ret'
 * then is a static phrase that says why. Every refused request must be the
 * last of its connection, since its end cannot be trusted. */
int ist_check_head(const struct ist_check_head *, const struct ist_httpd_conf *,
                   const char **ret);

/* Of a good head: the length of its body, UINT64_MAX when it comes in chunks.
 * Whether it is too large is for whoever takes it to say. */
uint64_t ist_check_length(const struct ist_check_head *);

/* "req-" and a UUID, as OpenStack writes request ids. */
bool ist_check_request_id(const char *text);

/* A header that may be sent: the name is a token, the value has no control
 * character but tabs. */
bool ist_check_header_out(const char *name, const char *value);

#endif
