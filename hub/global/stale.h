/* What a site last had, as a client of the region is shown it while the site is
 * away: the view's row, which the site's agent read as an admin in the newest
 * shape, without what a tenant does not see or did not ask for. */
#ifndef GLOBAL_STALE_H
#define GLOBAL_STALE_H

#include "global/request.h"

/* The object, in the request's arena. Of a server the status is UNKNOWN. data
 * NULL: the row is none, or no memory. */
struct ist_bytes global_stale_body(struct global_request *,
                                   const struct global_site *,
                                   const struct ist_kind *,
                                   const struct ist_bytes *row);

/* Does the project see the row at the site? Its own, and what is everybody's:
 * public images, shared and external networks. */
bool global_stale_is_visible(const struct global_request *,
                             const struct global_site *,
                             const struct ist_kind *, const struct ist_bytes *);
/* The site's row of the view, where the project sees it; in the request's
 * arena. False: there is none. */
bool global_stale_row(struct global_request *, const struct global_site *,
                      const char *kind, const char *id, struct ist_bytes *ret);
/* Has the kind rows that are everybody's? */
bool global_stale_has_public(const struct ist_kind *);

/* Does the row pass the client's own filters, as far as they can be judged by
 * its members? */
bool global_stale_fits(const struct global_request *, const struct ist_bytes *);

#endif
