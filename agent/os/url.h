/* The few things that must be known about URLs, in order to go where the
 * catalog says and nowhere else. RFC 3986, absolute http and https only. */
#ifndef OS_URL_H
#define OS_URL_H

#include "base/err.h"
#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>

#define OS_URL_MAX 1000 /* Bytes of an endpoint. */

/* May we send a token there?  Not to another scheme, to a URL with a user,
 * query or fragment, to a link-local address (where clouds keep the metadata
 * of machines), or to a port below 1024 but 80 and 443. -EINVAL with 'err'. */
int os_url_check(const char *url, struct ist_err *err);

/* What another asks for, path and query ("/v2.1/servers?limit=2"): does
 * everybody read the same in it? Refused are characters that must be encoded,
 * "//", ".", ".." and an encoding of what needs none (RFC 3986, 2.3) or of a
 * slash, a backslash or a control character. -EINVAL with 'err'. */
int os_url_check_target(const char *target, struct ist_err *err);

/* Is this part of a path a version: "v3", "v2.1"? */
bool os_url_is_version(const char *text, size_t len);

/* An endpoint without the version and the project at its end:
 * "http://h/volume/v3/6f.." gives "http://h/volume". */
void os_url_base(const char *endpoint, struct ist_sb *out);

/* Scheme, host and port are the same. A path alone ("/v2/images?x") is of the
 * same origin as anything. */
bool os_url_same_origin(const char *base, const char *other);

/* Appends a parameter's value, as it is written (still encoded), from the
 * query of a URL. False when there is none, or an empty one. */
bool os_url_parameter(const char *url, const char *name, struct ist_sb *out);

/* Appends text with all but unreserved characters encoded. */
void os_url_encode(struct ist_sb *out, const char *text, size_t len);

/* Appends a path, with "{project}" and "{id}" in it replaced. */
void os_url_expand(struct ist_sb *out, const char *path, const char *project,
                   const char *id);

#endif
