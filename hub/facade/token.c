/* One map: SHA-256 of the token's text to the packed Token. Every ten minutes
 * those that have expired are swept away. */
#include "facade/token.h"

#include "base/log.h"
#include "base/rand.h"
#include "codec/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX   "isg_"
#define SWEEP_MS 600000U
#define BYTES    32U /* Of chance. */

struct facade_tokens {
    struct ist_loop *loop;
    struct ist_tree *tree;
    MDB_dbi map;
    struct ist_timer timer;
    struct ist_write sweep;
    struct ist_arena arena; /* Of the sweep, in the pool. */
    uint64_t now_ms;        /* The same. */
    bool is_sweeping;
};

static void hash(const char *text, uint8_t ret[crypto_hash_sha256_BYTES])
{
    crypto_hash_sha256(ret, (const uint8_t *) text, strlen(text));
}

/* --- Finding --- */

const Isthmus__V1__Token *facade_token_find(struct facade_tokens *tokens,
                                            const char *text,
                                            struct ist_arena *arena)
{
    const Isthmus__V1__Token *token = NULL;
    uint8_t digest[crypto_hash_sha256_BYTES];
    MDB_val key = {sizeof(digest), digest}, value;
    struct ist_err err;
    MDB_txn *txn;

    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 ||
        strlen(text) != FACADE_TOKEN_SIZE - 1)
        return NULL;
    hash(text, digest);
    if (ist_tree_read(tokens->tree, &txn, &err))
        return NULL;
    if (mdb_get(txn, tokens->map, &key, &value) == 0)
        token = ist_unpack(&isthmus__v1__token__descriptor, arena,
                           value.mv_data, value.mv_size);
    mdb_txn_abort(txn);
    return token && token->identity &&
                   token->expires_ms > ist_loop_wall(tokens->loop)
               ? token
               : NULL;
}

/* --- Writing --- */

static int apply_issue(struct ist_write *write, MDB_txn *txn,
                       struct ist_err *err)
{
    struct facade_token_write *issue =
        IST_CONTAINER(write, struct facade_token_write, write);
    MDB_val key = {sizeof(issue->key), issue->key};
    MDB_val value = {issue->size, issue->data};
    MDB_stat stat;
    int rc = mdb_stat(txn, issue->tokens->map, &stat);

    if (rc == 0 && stat.ms_entries >= FACADE_TOKENS_MAX) {
        issue->text[0] = '\0'; /* This request's own trouble. */
        return 0;
    }
    if (rc == 0)
        rc = mdb_put(txn, issue->tokens->map, &key, &value, 0);
    return ist_tree_fault(rc, "hub.db, token", err);
}

void facade_token_issue(struct facade_tokens *tokens,
                        struct facade_token_write *issue,
                        const Isthmus__V1__Token *token)
{
    uint8_t chance[BYTES];

    issue->tokens = tokens;
    ist_rand_bytes(chance, sizeof(chance));
    memcpy(issue->text, PREFIX, strlen(PREFIX));
    sodium_bin2base64(issue->text + strlen(PREFIX),
                      sizeof(issue->text) - strlen(PREFIX), chance,
                      sizeof(chance), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(chance, sizeof(chance));
    hash(issue->text, issue->key);
    issue->size = isthmus__v1__token__get_packed_size(token);
    issue->data = malloc(issue->size);
    if (!issue->data) {
        ist_op_begin(&issue->write.op, NULL);
        ist_op_fail(&issue->write.op, -ENOMEM, "out of memory");
        return;
    }
    isthmus__v1__token__pack(token, issue->data);
    ist_tree_write(tokens->tree, &issue->write, apply_issue);
}

static int apply_revoke(struct ist_write *write, MDB_txn *txn,
                        struct ist_err *err)
{
    struct facade_token_write *revoke =
        IST_CONTAINER(write, struct facade_token_write, write);
    MDB_val key = {sizeof(revoke->key), revoke->key};
    int rc = mdb_del(txn, revoke->tokens->map, &key, NULL);

    return rc == MDB_NOTFOUND ? 0 : ist_tree_fault(rc, "hub.db, token", err);
}

void facade_token_revoke(struct facade_tokens *tokens,
                         struct facade_token_write *revoke, const char *text)
{
    revoke->tokens = tokens;
    hash(text, revoke->key);
    ist_tree_make_room(tokens->tree, &revoke->write, apply_revoke);
}

void facade_token_write_fini(struct facade_token_write *write)
{
    sodium_memzero(write->text, sizeof(write->text));
    free(write->data);
    write->data = NULL;
}

/* --- Sweeping --- */

static bool is_over(struct facade_tokens *tokens, const MDB_val *value)
{
    const Isthmus__V1__Token *token;

    ist_arena_reset(&tokens->arena);
    token = ist_unpack(&isthmus__v1__token__descriptor, &tokens->arena,
                       value->mv_data, value->mv_size);
    return !token || token->expires_ms <= tokens->now_ms;
}

static int apply_sweep(struct ist_write *write, MDB_txn *txn,
                       struct ist_err *err)
{
    struct facade_tokens *tokens =
        IST_CONTAINER(write, struct facade_tokens, sweep);
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, tokens->map, &cursor);

    if (rc)
        return ist_tree_fault(rc, "hub.db, tokens", err);
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (is_over(tokens, &value))
            rc = mdb_cursor_del(cursor, 0);
        if (rc)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : ist_tree_fault(rc, "hub.db, tokens", err);
}

static void on_due(struct ist_timer *timer);

static void on_swept(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_tokens *tokens =
        IST_CONTAINER(write, struct facade_tokens, sweep);

    tokens->is_sweeping = false;
    if (op->rc)
        ist_log_warn("facade", "tokens that are over stay: %s", op->err.text);
}

static void on_due(struct ist_timer *timer)
{
    struct facade_tokens *tokens =
        IST_CONTAINER(timer, struct facade_tokens, timer);

    ist_timer_arm_in(timer, tokens->loop, SWEEP_MS, on_due);
    if (tokens->is_sweeping)
        return;
    tokens->is_sweeping = true;
    tokens->now_ms = ist_loop_wall(tokens->loop);
    ist_op_prepare(&tokens->sweep.op, tokens->loop, NULL, 0, on_swept);
    ist_tree_make_room(tokens->tree, &tokens->sweep, apply_sweep);
}

/* --- Life --- */

struct facade_tokens *facade_tokens_open(struct ist_tree *tree,
                                         struct ist_err *err)
{
    struct facade_tokens *tokens = calloc(1, sizeof(*tokens));

    if (!tokens) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    tokens->tree = tree;
    tokens->loop = ist_tree_loop(tree);
    ist_arena_init(&tokens->arena, 1U << 20);
    if (ist_tree_map(tree, "token", 0, &tokens->map, err))
        return facade_tokens_free(tokens);
    ist_timer_arm_in(&tokens->timer, tokens->loop, SWEEP_MS, on_due);
    return tokens;
}

void facade_tokens_stop(struct facade_tokens *tokens)
{
    if (tokens)
        ist_timer_disarm(&tokens->timer);
}

bool facade_tokens_busy(const struct facade_tokens *tokens)
{
    return tokens && tokens->is_sweeping;
}

struct facade_tokens *facade_tokens_free(struct facade_tokens *tokens)
{
    if (!tokens)
        return NULL;
    ist_timer_disarm(&tokens->timer);
    ist_arena_fini(&tokens->arena);
    free(tokens);
    return NULL;
}
