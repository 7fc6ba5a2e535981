#include "projects/grant.h"

#include "base/clock.h"
#include "base/id.h"
#include "codec/file.h"
#include "codec/json.h"
#include "conf/file.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER   "credentials"
#define FILE_MAX 4096U
#define ID_SIZE  (OS_CREDENTIAL_ID_MAX + 1)

/* --- Which one --- */

static void hash_text(crypto_hash_sha256_state *state, const char *text)
{
    text = text ? text : "";
    crypto_hash_sha256_update(state, (const uint8_t *) text, strlen(text) + 1);
}

/* Of all that makes it another credential. */
static void name_of(const struct grant *grant, char ret[17])
{
    const struct ist_cloud_entry *e = &grant->scoped;
    const char *const texts[] = {
        e->auth_url,         e->username,          e->user_id,
        e->user_domain_name, e->user_domain_id,    e->project_id,
        e->project_name,     e->project_domain_id, e->project_domain_name};
    crypto_hash_sha256_state state;
    uint8_t hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < IST_COUNT(texts); i++)
        hash_text(&state, texts[i]);
    for (size_t i = 0; i < grant->n_roles; i++)
        hash_text(&state, grant->roles[i]);
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(ret, 17, hash, 8);
}

static bool put(char **at, const char *text, size_t len)
{
    *at = ist_conf_secret_free(*at);
    *at = strndup(text, len);
    return *at != NULL;
}

/* A name without a domain is one of the agent's own project's domain, or its
 * user's. */
static bool scope_to(struct ist_cloud_entry *e, const char *project)
{
    const char *slash = strchr(project, '/');

    e->project_id = ist_conf_secret_free(e->project_id);
    if (ist_id_is_hex(project)) {
        e->project_name = ist_conf_secret_free(e->project_name);
        return put(&e->project_id, project, strlen(project));
    }
    if (slash) {
        e->project_domain_id = ist_conf_secret_free(e->project_domain_id);
        return put(&e->project_domain_name, project,
                   (size_t) (slash - project)) &&
               put(&e->project_name, slash + 1, strlen(slash + 1));
    }
    if (!e->project_domain_id && !e->project_domain_name) {
        if (e->user_domain_id && !put(&e->project_domain_id, e->user_domain_id,
                                      strlen(e->user_domain_id)))
            return false;
        if (e->user_domain_name &&
            !put(&e->project_domain_name, e->user_domain_name,
                 strlen(e->user_domain_name)))
            return false;
    }
    return put(&e->project_name, project, strlen(project));
}

int grant_init(struct grant *grant, struct ist_loop *loop,
               struct ist_http *http, const struct os_conf *conf,
               const struct ist_cloud_entry *own, const char *dir,
               const char *project, char *const *roles, size_t n_roles,
               struct ist_err *err)
{
    char folder[PATH_MAX], file[32], hash[17];
    int rc;

    *grant = (struct grant){.loop = loop, .roles = roles, .n_roles = n_roles};
    if (own->auth != IST_CLOUD_PASSWORD)
        return ist_err_set(err, -EINVAL,
                           "only a user who logs in by password can make "
                           "application credentials, and the agent's own cloud "
                           "%s has none; give a cloud: instead",
                           own->name);
    if (ist_cloud_entry_copy(own, &grant->scoped) ||
        !scope_to(&grant->scoped, project))
        return ist_err_set(err, -ENOMEM, "out of memory");
    name_of(grant, hash);
    snprintf(file, sizeof(file), "%s.json", hash);
    snprintf(grant->name, sizeof(grant->name), "isthmus-agent %s", hash);
    rc = ist_file_path(folder, sizeof(folder), dir, FOLDER);
    if (rc == 0)
        rc = ist_file_path(grant->path, sizeof(grant->path), folder, file);
    if (rc)
        return ist_err_set(err, rc, "state: the path is too long");
    rc = ist_file_mkdir(folder, err);
    if (rc)
        return rc;
    grant->maker = os_cloud_new(loop, http, &grant->scoped, conf, err);
    return grant->maker ? 0 : err->code;
}

bool grant_is_same(const struct grant *a, const struct grant *b)
{
    return strcmp(a->path, b->path) == 0;
}

/* --- Its entry --- */

static int entry_of(const struct grant *grant, const char *id,
                    const char *secret, struct ist_cloud_entry *ret)
{
    int rc = ist_cloud_entry_copy(&grant->scoped, ret);

    if (rc)
        return rc;
    ret->auth = IST_CLOUD_APPLICATION_CREDENTIAL;
    ret->password = ist_conf_secret_free(ret->password);
    if (put(&ret->application_credential_id, id, strlen(id)) &&
        put(&ret->application_credential_secret, secret, strlen(secret)))
        return 0;
    ist_cloud_entry_fini(ret);
    return -ENOMEM;
}

int grant_entry(const struct grant *grant, struct ist_cloud_entry *ret)
{
    return entry_of(grant, grant->making.id, grant->making.secret, ret);
}

int grant_read(const struct grant *grant, struct ist_cloud_entry *ret,
               struct ist_err *err)
{
    struct ist_sb text;
    char id[ID_SIZE], secret[FILE_MAX];
    struct ist_json_slice doc;
    int rc;

    ist_sb_init(&text, FILE_MAX);
    ist_sb_reserve(&text, FILE_MAX - 1); /* So that no copy is left. */
    rc = ist_file_read(grant->path, IST_FILE_SECRET, &text, err);
    doc = (struct ist_json_slice){ist_sb_text(&text), text.len};
    if (rc == 0 &&
        (!ist_json_text(ist_json_find(doc, "id"), id, sizeof(id), NULL) ||
         !ist_json_text(ist_json_find(doc, "secret"), secret, sizeof(secret),
                        NULL)))
        rc = ist_err_set(err, -EBADMSG,
                         "%s is damaged: delete it, and the agent makes "
                         "another credential",
                         grant->path);
    if (rc == 0 && entry_of(grant, id, secret, ret))
        rc = ist_err_set(err, -ENOMEM, "out of memory");
    explicit_bzero(secret, sizeof(secret));
    ist_sb_wipe(&text);
    return rc;
}

/* --- Making it --- */

/* In the pool. */
static int write_file(struct ist_work *work)
{
    struct grant *grant = IST_CONTAINER(work, struct grant, writing);
    struct ist_err err = {.code = 0};
    int rc = ist_file_write(grant->path, IST_FILE_SECRET,
                            ist_sb_text(&grant->text), grant->text.len, &err);

    if (rc)
        work->op.err = err;
    return rc;
}

static void finish(struct grant *grant, int rc, const struct ist_err *err)
{
    if (rc)
        grant->op.err = *err;
    ist_op_finish(&grant->op, rc);
}

static void on_written(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);
    struct grant *grant = IST_CONTAINER(work, struct grant, writing);

    ist_sb_wipe(&grant->text);
    finish(grant, op->rc, &op->err);
}

static void write_it(struct grant *grant)
{
    const struct os_credential *making = &grant->making;
    char time[IST_CLOCK_TEXT_SIZE];

    ist_sb_init(&grant->text, FILE_MAX);
    ist_sb_reserve(&grant->text, FILE_MAX - 1);
    ist_sb_printf(&grant->text,
                  "{\"name\":\"%s\",\"made_at\":\"%s\",\"id\":", making->name,
                  ist_clock_text(ist_loop_wall(grant->loop), time));
    ist_sb_json(&grant->text, making->id, strlen(making->id));
    ist_sb_puts(&grant->text, ",\"secret\":");
    ist_sb_json(&grant->text, making->secret, strlen(making->secret));
    ist_sb_puts(&grant->text, "}\n");
    ist_op_prepare(&grant->writing.op, grant->loop, &grant->op, 0, on_written);
    ist_work_start(&grant->writing, write_file);
}

static void on_made(struct ist_op *op)
{
    struct os_credential *making = IST_CONTAINER(op, struct os_credential, op);
    struct grant *grant = IST_CONTAINER(making, struct grant, making);

    if (op->rc)
        finish(grant, op->rc, &op->err);
    else
        write_it(grant);
}

/* A name that the user has no other of: by the second. */
void grant_start(struct grant *grant)
{
    char time[IST_CLOCK_TEXT_SIZE];
    size_t len = strlen("isthmus-agent 0123456789abcdef");

    snprintf(grant->name + len, sizeof(grant->name) - len, " %s",
             ist_clock_text(ist_loop_wall(grant->loop), time));
    ist_op_begin(&grant->op, NULL);
    if (grant->making.secret) { /* Made, but not written. */
        write_it(grant);
        return;
    }
    os_credential_fini(&grant->making);
    grant->making =
        (struct os_credential){.cloud = grant->maker,
                               .name = grant->name,
                               .roles = (const char *const *) grant->roles,
                               .n_roles = grant->n_roles};
    ist_op_prepare(&grant->making.op, grant->loop, &grant->op, 0, on_made);
    os_credential_start(&grant->making);
}

/* --- Life --- */

void grant_close(struct grant *grant, void (*closed)(void *), void *arg)
{
    struct os_cloud *maker = IST_TAKE(grant->maker);

    os_cloud_close(maker, closed, arg);
}

void grant_fini(struct grant *grant)
{
    os_credential_fini(&grant->making);
    ist_sb_wipe(&grant->text);
    ist_cloud_entry_fini(&grant->scoped);
}
