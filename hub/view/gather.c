#include "view/gather.h"

#include "base/grow.h"
#include "view/moves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct change {
    const struct ist_kind *kind;
    const char *site, *id;
    const Isthmus__V1__Record *record; /* NULL: it is deleted. */
    size_t number;                     /* In the order they came. */
    uint16_t kind_number;
};

struct view_gather {
    struct view *view;
    struct view_moves *moves; /* Owned. */
    struct change *all;       /* Owned. */
    size_t n, size;
};

struct view_gather *view_gather_new(struct view *view)
{
    struct view_gather *gather = calloc(1, sizeof(*gather));

    if (!gather)
        return NULL;
    gather->view = view;
    gather->moves = view_moves_new();
    return gather->moves ? gather : view_gather_free(gather);
}

struct view_gather *view_gather_free(struct view_gather *gather)
{
    if (!gather)
        return NULL;
    view_moves_free(gather->moves);
    free(gather->all);
    free(gather);
    return NULL;
}

void view_gather_reset(struct view_gather *gather)
{
    gather->n = 0;
}

/* Of which row, in the order of the rows' map (view_key_row()). */
static int compare_rows(const struct change *a, const struct change *b)
{
    int cmp =
        (a->kind_number > b->kind_number) - (a->kind_number < b->kind_number);

    if (cmp == 0 && a->site != b->site)
        cmp = strcmp(a->site, b->site);
    return cmp ? cmp : strcmp(a->id, b->id);
}

static int compare(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int cmp = compare_rows(x, y);

    return cmp ? cmp : (x->number > y->number) - (x->number < y->number);
}

static int make(struct view_gather *gather, MDB_txn *txn,
                const struct change *change, struct ist_err *err)
{
    return change->record ? view_upsert(gather->view, txn, change->site,
                                        change->kind, change->record, err)
                          : view_delete(gather->view, txn, change->site,
                                        change->kind, change->id, err);
}

int view_gather_flush(struct view_gather *gather, MDB_txn *txn,
                      struct ist_err *err)
{
    const struct change *all = gather->all;
    int rc = 0;

    if (gather->n > 1)
        qsort(gather->all, gather->n, sizeof(*all), compare);
    view_moves_begin(gather->view, gather->moves);
    for (size_t i = 0; i < gather->n && rc == 0; i++) {
        if (i + 1 == gather->n || compare_rows(&all[i], &all[i + 1]) != 0)
            rc = make(gather, txn, &all[i], err);
    }
    if (rc == 0)
        rc = ist_tree_fault(view_moves_flush(gather->view, txn),
                            "writing keys of the view", err);
    view_moves_end(gather->view);
    view_gather_reset(gather);
    return rc;
}

static int add(struct view_gather *gather, MDB_txn *txn, struct change change,
               struct ist_err *err)
{
    struct change *all;
    int rc = 0;

    if (gather->n == VIEW_GATHER_MAX)
        rc = view_gather_flush(gather, txn, err);
    if (rc)
        return rc;
    all = ist_grow(gather->all, &gather->size, gather->n + 1, sizeof(*all));
    if (!all)
        return ist_err_set(err, -ENOMEM, "writing rows: out of memory");
    gather->all = all;
    change.number = gather->n;
    change.kind_number = view_kind_number(gather->view, change.kind);
    all[gather->n++] = change;
    return 0;
}

int view_gather_upsert(struct view_gather *gather, MDB_txn *txn,
                       const char *site, const struct ist_kind *kind,
                       const Isthmus__V1__Record *record, struct ist_err *err)
{
    return add(
        gather, txn,
        (struct change){
            .kind = kind, .site = site, .id = record->id, .record = record},
        err);
}

int view_gather_delete(struct view_gather *gather, MDB_txn *txn,
                       const char *site, const struct ist_kind *kind,
                       const char *id, struct ist_err *err)
{
    return add(gather, txn,
               (struct change){.kind = kind, .site = site, .id = id}, err);
}
