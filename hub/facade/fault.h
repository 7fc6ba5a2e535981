/* Errors of the hub's own on the paths of a service, in that service's shape:
 * what its clients show to people, and decide by. Always application/json. */
#ifndef FACADE_FAULT_H
#define FACADE_FAULT_H

#include "facade/services.h"
#include "httpd/server.h"

/* Appends the document. A 401 is keystonemiddleware's, whatever the service. */
void facade_fault_write(struct ist_sb *, enum facade_shape, int status,
                        const char *message);

/* Answers with it. A 401 says where to log in, as far as 'auth_url' is known
 * (or NULL). A 503 or 504 to a read says when to try again: to anything else
 * that would make some clients do it twice. */
void facade_fault(struct ist_httpd_request *, enum facade_shape, int status,
                  const char *auth_url, const char *fmt, ...) IST_PRINTF(5, 6);

/* A 503 of which it is certain that nothing was done: it may be tried again. */
void facade_fault_undone(struct ist_httpd_request *, enum facade_shape,
                         const char *fmt, ...) IST_PRINTF(3, 4);

#endif
