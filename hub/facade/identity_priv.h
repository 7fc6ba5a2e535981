/* What the files of Keystone's part share: the request at work, and how it is
 * answered. */
#ifndef FACADE_IDENTITY_PRIV_H
#define FACADE_IDENTITY_PRIV_H

#include "facade/facade.h"
#include "facade/fault.h"
#include "facade/token.h"

#include "codec/json.h"

#define IDENTITY_TEXT_MAX 255

struct identity_asked {
    struct facade *facade;
    struct ist_httpd_request *http;
    char url[FACADE_URL_SIZE], auth[FACADE_URL_SIZE + 16];
    const char *word, *more; /* What stands for {id} and {more}; or NULL. */
    const char *name;        /* As the route has it. */
    const Isthmus__V1__Token *token; /* The caller's; NULL: none was needed. */
};

/* What Keystone says to whoever is not let in, whatever the reason. */
extern const char identity_refused[];

#define IDENTITY_FAULT(asked, status, ...)                                     \
    facade_fault((asked)->http, FACADE_KEYSTONE, status, (asked)->auth,        \
                 __VA_ARGS__)

/* Sends the document and frees it; 'token' becomes X-Subject-Token, or NULL. */
void identity_reply(const struct identity_asked *, int status, struct ist_sb *,
                    const char *token);

/* A member of the request's body. */
struct ist_json_slice identity_find(const struct identity_asked *,
                                    const char *path);
/* As text in the arena; "" when there is none, or one that is too long. */
char *identity_text(const struct identity_asked *, const char *path,
                    struct ist_arena *);
bool identity_has_param(const struct ist_httpd_request *, const char *name);

/* Is the user of the path the caller? Else it is answered. */
bool identity_is_own(const struct identity_asked *, const char *action);

/* Deletes the record, and answers: 204. */
void identity_remove(const struct identity_asked *, struct facade_keep *,
                     const uint8_t key[FACADE_KEY_BYTES]);

typedef void identity_handler_fn(const struct identity_asked *);

/* login.c, credentials.c */
identity_handler_fn identity_log_in;
identity_handler_fn identity_make_credential, identity_list_credentials,
    identity_show_credential, identity_delete_credential;

#endif
