/* Path keys: what stands for a site in the URLs of its region, "/r/<key>/...".
 * Mostly its name; but gophercloud, and so Terraform, cuts a URL at the first
 * "v" with a digit or a dot behind it, which it takes for a version
 * (openstack/utils/base_endpoint.go): "tlv1" is "tlv-1" in paths. Pure. */
#ifndef SITES_KEY_H
#define SITES_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define SITES_KEY_MAX  31
#define SITES_KEY_SIZE (SITES_KEY_MAX + 1)

/* Lower case; what is no letter, digit or hyphen becomes a hyphen; one is put
 * between a "v" and a digit. False: no key can be made of it, because it would
 * not begin with a letter, or be too long, or be "global", which is the region
 * of all sites. */
bool sites_key(const char *site, char ret[SITES_KEY_SIZE]);

#endif
