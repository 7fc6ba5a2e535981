/* Keystone as clients know it, at /identity: versions, login, tokens, the
 * user's projects. A password is checked by the user's home site, which his
 * domain names; the hub keeps none, and issues tokens of its own. */
#ifndef FACADE_IDENTITY_H
#define FACADE_IDENTITY_H

#include "facade/facade.h"

/* Answers; its body has been collected. */
void facade_identity(struct facade *, struct ist_httpd_request *);

#endif
