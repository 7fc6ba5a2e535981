/* /v3/users/{id}/application_credentials: made, listed, shown and deleted by
 * their own user (docs.openstack.org/api-ref/identity/v3, application
 * credentials). The secret is told once, when it is made. */
#include "facade/identity_priv.h"

#include "facade/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROLES_MAX 32

struct making {
    struct identity_asked asked;
    struct ist_arena arena;
    struct facade_keep_write write;
    Isthmus__V1__Credential credential;
    Isthmus__V1__Token token;
    Isthmus__V1__Identity who;
    Isthmus__V1__Grant grant, *grants[1];
    char *roles[ROLES_MAX];
    char id[IST_ID_HEX_SIZE];
    char *secret;
    uint8_t hash[crypto_hash_sha256_BYTES];
};

static void making_free(struct making *making)
{
    making->asked.facade->n_logins--;
    if (making->secret)
        explicit_bzero(making->secret, strlen(making->secret));
    facade_keep_write_fini(&making->write);
    ist_arena_fini(&making->arena);
    free(making);
}

static void put(struct ist_sb *out, const char *name, const char *text)
{
    ist_sb_printf(out, "\"%s\":", name);
    ist_sb_json(out, text, strlen(text));
}

/* Without secret: as it is shown. */
static void put_credential(struct ist_sb *out,
                           const struct identity_asked *asked,
                           const Isthmus__V1__Credential *credential,
                           const char *secret)
{
    const Isthmus__V1__Token *token = credential->token;
    const Isthmus__V1__Grant *grant = token->identity->grants[0];
    char hex[IST_ID_HEX_SIZE], user[IST_ID_HEX_SIZE];

    ist_sb_putc(out, '{');
    put(out, "id", credential->id);
    ist_sb_putc(out, ',');
    put(out, "name", credential->name);
    ist_sb_putc(out, ',');
    put(out, "description", credential->description);
    if (secret) {
        ist_sb_putc(out, ',');
        put(out, "secret", secret);
    }
    ist_sb_putc(out, ',');
    put(out, "project_id", facade_hub_id(token, grant->project_id, hex));
    ist_sb_puts(out, ",\"roles\":");
    facade_roles_json(out, asked->facade, grant);
    ist_sb_puts(out, ",\"expires_at\":");
    if (credential->expires_ms)
        facade_time_json(out, credential->expires_ms);
    else
        ist_sb_puts(out, "null");
    ist_sb_printf(out,
                  ",\"unrestricted\":%s,\"access_rules\":[],\"links\":{"
                  "\"self\":\"%s/v3/users/%s/application_credentials/%s\"}}",
                  token->unrestricted ? "true" : "false", asked->auth,
                  facade_hub_id(token, token->identity->user_id, user),
                  credential->id);
}

static bool is_of(const struct identity_asked *asked,
                  const Isthmus__V1__Credential *credential)
{
    return strcmp(credential->token->home, asked->token->home) == 0 &&
           strcmp(credential->token->identity->user_id,
                  asked->token->identity->user_id) == 0;
}

/* --- Making --- */

struct name_search {
    const struct identity_asked *asked;
    const char *name;
    bool is_taken;
};

static bool look_for_name(void *arg, const uint8_t key[FACADE_KEY_BYTES],
                          const void *message)
{
    struct name_search *search = arg;
    const Isthmus__V1__Credential *credential = message;

    (void) key;
    search->is_taken = is_of(search->asked, credential) &&
                       strcmp(credential->name, search->name) == 0;
    return !search->is_taken;
}

static bool is_name_taken(const struct making *making)
{
    struct name_search search = {&making->asked, making->credential.name,
                                 false};

    facade_keep_each(making->asked.facade->credentials, look_for_name, &search);
    return search.is_taken;
}

static int on_role(void *arg, const struct ist_json_element *e)
{
    struct making *making = arg;
    const Isthmus__V1__Grant *has = making->asked.token->identity->grants[0];

    if (e->refusal)
        return 1;
    for (size_t i = 0; i < has->n_roles; i++) {
        char hex[IST_ID_HEX_SIZE];

        facade_role_id(making->asked.facade, has->roles[i], hex);
        if ((ist_json_text_is(e->picks[0], has->roles[i]) ||
             ist_json_text_is(e->picks[1], hex)) &&
            making->grant.n_roles < ROLES_MAX) {
            making->roles[making->grant.n_roles++] = has->roles[i];
            return 0;
        }
    }
    return 1; /* One that he has not. */
}

/* Those that are named, or all that he has. */
static bool take_roles(struct making *making)
{
    static const char *const picks[] = {"name", "id"};
    const Isthmus__V1__Grant *has = making->asked.token->identity->grants[0];
    struct ist_json_slice roles =
        identity_find(&making->asked, "application_credential.roles");

    making->grant = *has;
    if (ist_json_type(roles) != IST_JSON_ARRAY)
        return true;
    making->grant.roles = making->roles;
    making->grant.n_roles = 0;
    return ist_json_each(roles, picks, IST_COUNT(picks), on_role, making) ==
               0 &&
           making->grant.n_roles > 0;
}

/* "2026-11-26T19:00:00Z", with a fraction or without; UTC. */
static bool take_end(struct making *making)
{
    const char *text = identity_text(
        &making->asked, "application_credential.expires_at", &making->arena);
    struct tm tm = {0};
    const char *rest;
    time_t seconds;

    if (!text[0])
        return true;
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest || (*rest && *rest != '.' && *rest != 'Z'))
        return false;
    seconds = timegm(&tm);
    making->credential.expires_ms = (uint64_t) seconds * 1000;
    return seconds > 0 && making->credential.expires_ms >
                              ist_loop_wall(making->asked.facade->loop);
}

static bool take_secret(struct making *making)
{
    char made[FACADE_SECRET_SIZE];

    making->secret = identity_text(
        &making->asked, "application_credential.secret", &making->arena);
    if (!making->secret[0]) {
        facade_secret_make(made);
        making->secret = ist_arena_strdup(&making->arena, made);
        explicit_bzero(made, sizeof(made));
    }
    return making->secret && strlen(making->secret) >= FACADE_SECRET_MIN;
}

/* NULL: it is sound; else what is wrong with it, as a sentence. */
static const char *take_request(struct making *making, int *ret_status)
{
    Isthmus__V1__Credential *credential = &making->credential;
    const struct identity_asked *asked = &making->asked;

    *ret_status = 400;
    credential->name =
        identity_text(asked, "application_credential.name", &making->arena);
    credential->description = identity_text(
        asked, "application_credential.description", &making->arena);
    if (!credential->name[0])
        return "application_credential.name is missing, or longer than 255.";
    if (!take_roles(making))
        return "application_credential.roles names a role that you do not have "
               "in the project.";
    if (!take_end(making))
        return "application_credential.expires_at is no time to come, such as "
               "2030-01-01T00:00:00Z.";
    if (!take_secret(making))
        return "application_credential.secret is shorter than 32 characters; "
               "leave it out, and one is made.";
    *ret_status = 409;
    return is_name_taken(making)
               ? "You have an application credential of that name already."
               : NULL;
}

static void on_made(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_keep_write *put_write =
        IST_CONTAINER(write, struct facade_keep_write, write);
    struct making *making = IST_CONTAINER(put_write, struct making, write);
    struct ist_sb out;

    if (op->rc || put_write->is_full) {
        IDENTITY_FAULT(&making->asked, 503,
                       "The hub cannot keep the credential: %s.",
                       op->rc ? op->err.text : "it has as many as it may");
    } else {
        ist_sb_init(&out, 0);
        ist_sb_puts(&out, "{\"application_credential\":");
        put_credential(&out, &making->asked, &making->credential,
                       making->secret);
        ist_sb_putc(&out, '}');
        identity_reply(&making->asked, 201, &out, NULL);
    }
    making_free(making);
}

/* What the credential's tokens will say: of this user, in this project. */
static void fill(struct making *making)
{
    const Isthmus__V1__Token *token = making->asked.token;
    Isthmus__V1__Credential *credential = &making->credential;
    struct ist_id id = ist_id_random();

    making->who = *token->identity;
    making->grants[0] = &making->grant;
    making->who.grants = making->grants;
    isthmus__v1__token__init(&making->token);
    making->token.home = token->home;
    making->token.home_uid = token->home_uid;
    making->token.identity = &making->who;
    making->token.scoped = true;
    making->token.unrestricted =
        ist_json_type(identity_find(&making->asked,
                                    "application_credential.unrestricted")) ==
        IST_JSON_TRUE;
    credential->token = &making->token;
    credential->id = ist_id_hex(&id, making->id);
    credential->created_ms = ist_loop_wall(making->asked.facade->loop);
    facade_credential_hash(making->secret, making->hash);
    credential->hash =
        (ProtobufCBinaryData){sizeof(making->hash), making->hash};
}

/* One that a credential has made could outlive it: only where that was
 * wanted. */
static bool may_make(const struct identity_asked *asked)
{
    const Isthmus__V1__Token *token = asked->token;

    if (!identity_is_own(asked, "create_application_credential"))
        return false;
    if (token->scoped && (!token->credential_id[0] || token->unrestricted))
        return true;
    IDENTITY_FAULT(asked, 403,
                   token->scoped
                       ? "A restricted application credential may not make "
                         "others."
                       : "An application credential is of a project: log in "
                         "with one as your scope.");
    return false;
}

void identity_make_credential(const struct identity_asked *asked)
{
    uint8_t key[FACADE_KEY_BYTES];
    struct making *making;
    const char *why;
    int status;

    if (!may_make(asked))
        return;
    making = calloc(1, sizeof(*making));
    if (!making) {
        IDENTITY_FAULT(asked, 500, "The hub is out of memory.");
        return;
    }
    making->asked = *asked;
    making->asked.facade->n_logins++;
    ist_arena_init(&making->arena, 1U << 16);
    isthmus__v1__credential__init(&making->credential);
    why = take_request(making, &status);
    if (why) {
        making_free(making);
        IDENTITY_FAULT(asked, status, "%s", why);
        return;
    }
    fill(making);
    facade_credential_key(making->id, key);
    ist_op_prepare(&making->write.write.op, asked->facade->loop, NULL, 0,
                   on_made);
    facade_keep_put(asked->facade->credentials, &making->write, key,
                    &making->credential);
}

/* --- Listing, showing --- */

struct listing {
    const struct identity_asked *asked;
    struct ist_sb out;
    bool is_first;
};

static bool list_one(void *arg, const uint8_t key[FACADE_KEY_BYTES],
                     const void *message)
{
    struct listing *listing = arg;
    const Isthmus__V1__Credential *credential = message;
    const char *name = NULL;

    (void) key;
    for (size_t i = 0; i < listing->asked->http->n_params; i++) {
        if (strcmp(listing->asked->http->params[i].name, "name") == 0)
            name = listing->asked->http->params[i].value;
    }
    if (!is_of(listing->asked, credential) ||
        (name && strcmp(name, credential->name) != 0))
        return true;
    if (!listing->is_first)
        ist_sb_putc(&listing->out, ',');
    listing->is_first = false;
    put_credential(&listing->out, listing->asked, credential, NULL);
    return true;
}

void identity_list_credentials(const struct identity_asked *asked)
{
    struct listing listing = {.asked = asked, .is_first = true};

    if (!identity_is_own(asked, "list_application_credentials"))
        return;
    ist_sb_init(&listing.out, 0);
    ist_sb_puts(&listing.out, "{\"application_credentials\":[");
    facade_keep_each(asked->facade->credentials, list_one, &listing);
    ist_sb_printf(&listing.out,
                  "],\"links\":{\"next\":null,\"previous\":null,\"self\":\""
                  "%s/v3/users/%s/application_credentials\"}}",
                  asked->auth, asked->word);
    identity_reply(asked, 200, &listing.out, NULL);
}

/* The one of the path; NULL: it is answered. */
static const Isthmus__V1__Credential *
credential_of(const struct identity_asked *asked, const char *action)
{
    const Isthmus__V1__Credential *credential;

    if (!identity_is_own(asked, action))
        return NULL;
    credential = facade_credential_find(asked->facade->credentials, asked->more,
                                        &asked->http->arena);
    if (credential && is_of(asked, credential))
        return credential;
    IDENTITY_FAULT(asked, 404, "Could not find Application Credential: %.64s.",
                   asked->more);
    return NULL;
}

void identity_show_credential(const struct identity_asked *asked)
{
    const Isthmus__V1__Credential *credential =
        credential_of(asked, "get_application_credential");
    struct ist_sb out;

    if (!credential)
        return;
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"application_credential\":");
    put_credential(&out, asked, credential, NULL);
    ist_sb_putc(&out, '}');
    identity_reply(asked, 200, &out, NULL);
}

/* --- Deleting --- */

void identity_delete_credential(const struct identity_asked *asked)
{
    uint8_t key[FACADE_KEY_BYTES];

    if (credential_of(asked, "delete_application_credential") &&
        facade_credential_key(asked->more, key))
        identity_remove(asked, asked->facade->credentials, key);
}
