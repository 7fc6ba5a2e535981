/* Who the user is at the hub, where no token was given to him: what 'isthmus
 * login' has left, or the account of OS_CLOUD in clouds.yaml, or of the OS_*
 * variables, as other OpenStack clients take it. */
#ifndef CLI_LOGIN_H
#define CLI_LOGIN_H

#include "cli/args.h"
#include "cli/hub.h"
#include "conf/clouds.h"

/* A login that was kept. All owned, wiped; NULL: there is none. */
struct cli_saved {
    char *url, *cacert, *token, *expires_at;
};

/* Without a file, or with one whose time is over: nothing. Else enum cli_exit.
 */
int cli_saved_load(struct cli_saved *);
void cli_saved_fini(struct cli_saved *);

/* OS_CLOUD, else OS_AUTH_URL and the others; '*ret_found'. Else enum cli_exit,
 * said. */
int cli_account_find(struct ist_cloud_entry *ret, bool *ret_found);
/* The hub of an account: its address without "/identity/v3"; owned. */
char *cli_account_base(const struct ist_cloud_entry *);

/* Logs in; the token is the hub's from then on. '*ret' (or NULL): Keystone's
 * document, the caller's. Enum cli_exit, said. */
int cli_login_as(struct cli_hub *, const struct ist_cloud_entry *,
                 json_t **ret);

/* The commands. */
int cli_login(const struct cli_args *, struct ist_sb *out);
int cli_logout(const struct cli_args *, struct ist_sb *out);

#endif
