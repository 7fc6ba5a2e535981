/* A user of this site who wants to be known at the hub: his own Keystone checks
 * his password, and says who he is, and what he may do in the project he names,
 * or in all he has. Nothing of it is kept; his tokens end here. */
#ifndef OS_VISITOR_H
#define OS_VISITOR_H

#include "base/arena.h"
#include "base/id.h"
#include "os/cloud_priv.h"

#include "isthmus/v1/identity.pb-c.h"

#define OS_VISITOR_PROJECTS_MAX 32 /* Told; of more the rest are left out. */

struct os_visitor {
    struct ist_op op; /* Prepared by the caller. */

    /* The caller's until 'done'. */
    struct os_cloud *cloud; /* Whose Keystone it is. */
    const Isthmus__V1__Login *asks;
    const struct ist_id *site; /* Whose ids of projects the hub makes its own
                                * of; see codec/uuid5.h. */
    struct ist_arena *arena;   /* Where the answer lives. */

    Isthmus__V1__Identity *identity; /* Valid in 'done' with rc 0; without the
                                      * token. */
    char *token;                     /* The same. Wiped when it is over. */

    /* Private to visitor.c. */
    struct ist_http_call call;
    struct ist_sb url, body, header;
    const char *headers[4];
    size_t next; /* The grant whose roles come next. */
};

/* op.rc: 0; OS_E_LOGIN: Keystone refuses him; OS_E_NOT_FOUND: no such project
 * of his; or as in os/cloud.h. */
void os_visitor_start(struct os_visitor *);
void os_visitor_fini(struct os_visitor *);

#endif
