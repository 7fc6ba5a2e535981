/* What went wrong between us and a service, as an outcome and a sentence:
 *
 *     compute: GET /v2.1/servers/detail: 503, Service Unavailable
 *
 * The path has no query, and no secret is ever in either. */
#ifndef OS_FAIL_H
#define OS_FAIL_H

#include "http/client.h"
#include "os/rows.h"

/* Each fills 'err' and returns the outcome. 'path' is the one that was asked,
 * with or without query; NULL: none was. */

/* The exchange itself failed with the fault 'rc'. */
int os_fail_transport(struct ist_err *err, const struct os_service *,
                      const char *path, const struct ist_err *cause, int rc);

/* It answered another status than it should. 'body' may hold a complaint in
 * the service's shape. */
int os_fail_status(struct ist_err *err, const struct os_service *,
                   const char *path, int status, const char *body, size_t size);

/* Anything else. */
int os_fail(struct ist_err *err, const struct os_service *, const char *path,
            int outcome, const char *fmt, ...) IST_PRINTF(5, 6);

/* The service's own sentence in an error body, cleaned of control characters
 * and cut to 'size' - 1 bytes. False when there is none. */
bool os_fail_message(const struct os_service *, const char *body, size_t len,
                     char *buf, size_t size);

#endif
