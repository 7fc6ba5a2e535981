/* Errors of the hub's own on the paths of a service, in that service's shape:
 * what its clients show to people, and decide by. Always application/json. */
#ifndef FACADE_FAULT_H
#define FACADE_FAULT_H

#include "facade/services.h"
#include "httpd/server.h"

/* Appends the document. A 401 is keystonemiddleware's, whatever the service. */
void facade_fault_write(struct ist_sb *, enum facade_shape, int status,
                        const char *message);

/* Answers with it. 503 and 504 say when to try again; a 401 where to log in, as
 * far as 'auth_url' is known (or NULL). */
void facade_fault(struct ist_httpd_request *, enum facade_shape, int status,
                  const char *auth_url, const char *fmt, ...) IST_PRINTF(5, 6);

#endif
