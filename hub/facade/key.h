/* Path keys: what stands for a site in the URLs of its region, "/r/<key>/...".
 * Mostly its name; but gophercloud, and so Terraform, cuts a URL at the first
 * "v" with a digit or a dot behind it, which it takes for a version
 * (openstack/utils/base_endpoint.go): "tlv1" is "tlv-1" in paths. Pure. */
#ifndef FACADE_KEY_H
#define FACADE_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define FACADE_KEY_MAX  31
#define FACADE_KEY_SIZE (FACADE_KEY_MAX + 1)

/* Lower case; what is no letter, digit or hyphen becomes a hyphen; one is put
 * between a "v" and a digit. False: no key can be made of it, because it would
 * not begin with a letter, or be too long, or be "global", which is the region
 * of all sites. */
bool facade_key(const char *site, char ret[FACADE_KEY_SIZE]);

#endif
