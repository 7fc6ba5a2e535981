/* clouds.yaml: how operators already tell OpenStack clients where a cloud is
 * and who they are. Read as openstacksdk reads it; it is not our file, so
 * names that are not known here are passed over. Not read: vendor profiles
 * and environment variables other than OS_CLIENT_CONFIG_FILE. */
#ifndef CONF_CLOUDS_H
#define CONF_CLOUDS_H

#include "conf/report.h"

#include <stdbool.h>

enum ist_cloud_auth {
    IST_CLOUD_PASSWORD,
    IST_CLOUD_APPLICATION_CREDENTIAL,
    IST_CLOUD_TOKEN,
};

/* One entry. All strings are its own; NULL where the file says nothing. */
struct ist_cloud_entry {
    char *name;
    enum ist_cloud_auth auth;
    char *auth_url; /* Always there; http or https. */
    char *username, *user_id, *password;
    char *user_domain_name, *user_domain_id;
    char *project_name, *project_id;
    char *project_domain_name, *project_domain_id;
    char *application_credential_id, *application_credential_name;
    char *application_credential_secret;
    char *token;
    char *region_name; /* NULL: whatever region the catalog has. */
    char *interface;   /* "public", "internal" or "admin". */
    char *cacert;      /* Absolute, or seen from the file. */
    bool insecure;     /* "verify: false". */
    bool exposed;      /* It holds a secret, and everybody may read the file. */
};

/* Finds the entry 'cloud' in the file 'path' (NULL: searched for as below)
 * and lays secure.yaml over it, which stands beside it or is found by the
 * same search. Searched: $OS_CLIENT_CONFIG_FILE, then clouds.yaml in ".",
 * in ~/.config/openstack and in /etc/openstack; also with the ending .yml.
 * 'cloud' may be NULL if there is only one.
 *
 * 0, or negative with 'err': -ENOENT (no file, no such cloud), -EINVAL (what
 * is wrong with the file or the entry). */
int ist_clouds_load(const char *path, const char *cloud,
                    struct ist_cloud_entry *ret, struct ist_err *err);

/* -ENOMEM: 'ret' is empty. */
int ist_cloud_entry_copy(const struct ist_cloud_entry *,
                         struct ist_cloud_entry *ret);

/* Wipes and frees. Safe on a zeroed entry. */
void ist_cloud_entry_fini(struct ist_cloud_entry *);

#endif
