/* Users who act with a token of their own (passthrough): at sites that share
 * one Keystone, and say so in their configuration, the hub passes on the token
 * that the user's home site gave for him, and this site logs in with it as him,
 * by Keystone's own judgement. projects.yaml is not asked for them; the policy
 * is.
 *
 * A login costs an exchange, so what came of it is kept until nobody has used
 * it for five minutes; for 256 users and projects at most, of which the one
 * that rested longest gives way. */
#ifndef SERVE_GUEST_H
#define SERVE_GUEST_H

#include "os/cloud.h"

#define SERVE_GUESTS_MAX 256

struct serve_guests;

struct serve_guest {
    struct os_cloud *cloud; /* Logs in when it is first used. */
    char *project;          /* Its id here. */
};

/* All borrowed until closed: 'own' says where Keystone is. NULL: no memory. */
struct serve_guests *serve_guests_new(struct ist_loop *, struct ist_http *,
                                      const struct os_conf *,
                                      const struct ist_cloud_entry *own);
/* Nobody may hold a guest. 'closed' is called from the loop, or at once for
 * NULL. */
void serve_guests_close(struct serve_guests *, void (*closed)(void *),
                        void *arg);

/* Held until released. NULL: all are in use, or no memory; or one of the two is
 * none (empty, over 8192 and 64 bytes, with control characters). */
struct serve_guest *serve_guests_get(struct serve_guests *, const void *token,
                                     size_t size, const char *project);
/* NULL is fine. */
void serve_guest_release(struct serve_guest *);

#endif
