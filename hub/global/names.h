/* What has another name in the region than at a site: zones, flavors, types of
 * volumes, copies of images. Told from the view, which knows all sites' own. */
#ifndef GLOBAL_NAMES_H
#define GLOBAL_NAMES_H

#include "global/request.h"

#define GLOBAL_ZONE_SIZE 300

/* Adds to 'asked', whose site is set, what reads otherwise there. 'image' is
 * what the client calls the image whose id there is 'copy'; NULL: none. All of
 * it lives as long as the client's request. False: no memory. */
bool global_names_add(struct global_request *, struct facade_asked *asked,
                      const char *image, const char *copy);

/* The site of a zone as the region names it: "hkg", or "hkg-nova2" where hkg
 * has more than one. NULL: there is no such zone at the caller's sites. */
const struct global_site *global_names_zone(struct global_request *,
                                            const char *zone);
/* A site's own zone as the region names it. */
void global_names_zone_of(struct global_request *, const char *site,
                          const char *zone, char ret[GLOBAL_ZONE_SIZE]);

/* The site's own id of a flavor or type of volume ('kind'), known by its name,
 * or by its id there; NULL: it has none. In the request's arena. */
const char *global_names_id(struct global_request *, const char *site,
                            const char *kind, const char *name);

/* Of an object that the region knows by its name: its id becomes that, in its
 * links too. */
void global_names_show(json_t *object);

/* The id at 'site' of an image with the same bytes as the one that the client
 * calls 'image', which may be that one itself; NULL: the site has none that the
 * project may see. '*ret_where': the sites that have it, for people. */
const char *global_names_copy(struct global_request *,
                              const struct global_site *, const char *image,
                              struct ist_sb *ret_where);

#endif
