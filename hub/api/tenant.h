/* What a tenant reads by the native API: the rows that each site shows his
 * project, asked for in his name. */
#ifndef API_TENANT_H
#define API_TENANT_H

#include "api/reading.h"

/* NULL: a tenant may ask for that; else the sentence that says why not. */
const char *api_tenant_doubt(const struct ist_kind *, const struct api_query *);

/* Of the sites chosen (NULL: all) those where the caller's project acts, in the
 * arena. NULL: no memory. */
struct sites_site **api_tenant_sites(const struct api *,
                                     const struct facade_caller *,
                                     struct sites_site *const *chosen, size_t n,
                                     struct ist_arena *, size_t *ret_n);

/* For survey->as of an api_reading that has a caller. */
Isthmus__V1__Relay *api_tenant_as(struct survey *, struct sites_site *);

#endif
