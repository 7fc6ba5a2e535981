#include "view/moves.h"

#include "base/grow.h"
#include "base/sb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct move {
    size_t at; /* Of its key in 'keys'. */
    uint16_t len;
    uint8_t map;
    bool there;
};

struct view_moves {
    struct ist_sb keys;
    struct move *all; /* Owned. */
    size_t n, size;
};

struct view_moves *view_moves_new(void)
{
    struct view_moves *moves = calloc(1, sizeof(*moves));

    if (moves)
        ist_sb_init(&moves->keys, VIEW_MOVES_MAX + VIEW_KEY_MAX);
    return moves;
}

struct view_moves *view_moves_free(struct view_moves *moves)
{
    if (!moves)
        return NULL;
    ist_sb_fini(&moves->keys);
    free(moves->all);
    free(moves);
    return NULL;
}

/* One */

static int make(struct view *view, MDB_txn *txn, enum view_map map, MDB_val key,
                bool there)
{
    MDB_val nothing = view_val("", 0);
    int rc;

    if (there)
        return mdb_put(txn, view->maps[map], &key, &nothing, 0);
    rc = mdb_del(txn, view->maps[map], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Many */

/* Of one key, in the order they came. */
static int compare(const void *a, const void *b, void *arg)
{
    const struct move *x = a, *y = b;
    const char *keys = arg;
    struct ist_bytes p = {keys + x->at, x->len}, q = {keys + y->at, y->len};
    int cmp = x->map - y->map;

    if (cmp == 0)
        cmp = ist_bytes_cmp(&p, &q);
    return cmp ? cmp : (x->at > y->at) - (x->at < y->at);
}

static void forget(struct view_moves *moves)
{
    ist_sb_reset(&moves->keys);
    moves->n = 0;
}

int view_moves_flush(struct view *view, MDB_txn *txn)
{
    struct view_moves *moves = view->moves;
    char *keys = moves->keys.data;
    int rc = 0;

    if (moves->n > 1)
        qsort_r(moves->all, moves->n, sizeof(*moves->all), compare, keys);
    for (size_t i = 0; i < moves->n && rc == 0; i++) {
        const struct move *move = &moves->all[i];

        rc = make(view, txn, (enum view_map) move->map,
                  view_val(keys + move->at, move->len), move->there);
    }
    forget(moves);
    return rc;
}

int view_move(struct view *view, MDB_txn *txn, enum view_map map,
              const struct view_key *key, bool there)
{
    struct view_moves *moves = view->moves;
    struct move *all;
    int rc = 0;

    if (!moves)
        return make(view, txn, map, view_key_val(key), there);
    if (moves->keys.len >= VIEW_MOVES_MAX)
        rc = view_moves_flush(view, txn);
    if (rc)
        return rc;
    all = ist_grow(moves->all, &moves->size, moves->n + 1, sizeof(*all));
    if (!all)
        return ENOMEM;
    moves->all = all;
    all[moves->n++] = (struct move){.at = moves->keys.len,
                                    .len = (uint16_t) key->len,
                                    .map = (uint8_t) map,
                                    .there = there};
    ist_sb_add(&moves->keys, key->data, key->len);
    return moves->keys.rc ? ENOMEM : 0;
}

void view_moves_begin(struct view *view, struct view_moves *moves)
{
    forget(moves);
    view->moves = moves;
}

void view_moves_end(struct view *view)
{
    forget(view->moves);
    view->moves = NULL;
}
