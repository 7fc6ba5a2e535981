#include "view/sorted.h"

#include <string.h>

/* In general use. The byte is what stands in the file: append only. */
static const struct {
    uint8_t byte;
    const char *name;
} members[] = {
    {1, "id"}, {2, "name"}, {3, "status"}, {4, "created_at"}, {5, "updated_at"},
};

uint8_t view_sorted_member(const char *name)
{
    for (size_t i = 0; i < IST_COUNT(members); i++) {
        if (strcmp(members[i].name, name) == 0)
            return members[i].byte;
    }
    return 0;
}

static struct ist_bytes member_of(const struct view_facts *facts,
                                  const char *name)
{
    int at = view_member(facts->kind, name);

    if (at < 0)
        return (struct ist_bytes){"", 0};
    return view_row_key(facts->kind, (size_t) at, facts->row, &facts->id);
}

static void make_key(struct view *view, struct view_key *key, uint8_t member,
                     const struct view_facts *facts,
                     const struct ist_bytes *project,
                     const struct ist_bytes *value)
{
    view_key_scope(key, view_kind_number(view, facts->kind), member, project);
    view_key_add_value(key, value);
    view_key_add_row(key, facts->site, &facts->id);
}

static int put(struct view *view, MDB_txn *txn, const struct view_key *key)
{
    MDB_val k = view_key_val(key), nothing = view_val("", 0);

    return mdb_put(txn, view->maps[VIEW_SORT], &k, &nothing, 0);
}

static int del(struct view *view, MDB_txn *txn, const struct view_key *key)
{
    MDB_val k = view_key_val(key);
    int rc = mdb_del(txn, view->maps[VIEW_SORT], &k, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One member in one scope. */
static int move_one(struct view *view, MDB_txn *txn, size_t i, bool in_project,
                    const struct view_facts *before,
                    const struct view_facts *after)
{
    struct view_key was = {.len = 0}, is = {.len = 0};
    int rc = 0;

    for (int now = 0; now < 2; now++) {
        const struct view_facts *facts = now ? after : before;
        struct ist_bytes project, value;

        if (!facts->row)
            continue;
        project = member_of(facts, "project");
        if (in_project && project.size == 0)
            continue;
        value = member_of(facts, members[i].name);
        make_key(view, now ? &is : &was, members[i].byte, facts,
                 in_project ? &project : NULL, &value);
    }
    if (was.len == is.len && memcmp(was.data, is.data, is.len) == 0)
        return 0;
    if (was.len)
        rc = del(view, txn, &was);
    return rc || !is.len ? rc : put(view, txn, &is);
}

int view_sorted_move(struct view *view, MDB_txn *txn,
                     const struct view_facts *before,
                     const struct view_facts *after)
{
    int rc = 0;

    for (size_t i = 0; i < IST_COUNT(members) && rc == 0; i++) {
        if (view_member(after->kind, members[i].name) < 0)
            continue;
        rc = move_one(view, txn, i, false, before, after);
        if (rc == 0)
            rc = move_one(view, txn, i, true, before, after);
    }
    return rc;
}
