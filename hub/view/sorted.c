#include "view/sorted.h"

#include "view/moves.h"

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

/* A row of one member in one scope: what its key is made of. */
struct place {
    bool is_there;
    struct ist_bytes project, value;
};

static struct place place_of(const struct view_facts *facts, const char *member,
                             bool in_project)
{
    struct place place = {.is_there = facts->row != NULL};

    if (!place.is_there)
        return place;
    place.value = member_of(facts, member);
    if (in_project)
        place.project = member_of(facts, "project");
    place.is_there = !in_project || place.project.size;
    return place;
}

/* Most changes of a row leave most of its members as they are: no key is made
 * for these. */
static int move_one(struct view *view, MDB_txn *txn, size_t i, bool in_project,
                    const struct view_facts *before,
                    const struct view_facts *after)
{
    struct place was = place_of(before, members[i].name, in_project);
    struct place is = place_of(after, members[i].name, in_project);
    struct view_key key;
    int rc = 0;

    if (was.is_there == is.is_there && ist_bytes_equal(&was.value, &is.value) &&
        ist_bytes_equal(&was.project, &is.project))
        return 0;
    if (was.is_there) {
        make_key(view, &key, members[i].byte, before,
                 in_project ? &was.project : NULL, &was.value);
        rc = view_move(view, txn, VIEW_SORT, &key, false);
    }
    if (is.is_there && rc == 0) {
        make_key(view, &key, members[i].byte, after,
                 in_project ? &is.project : NULL, &is.value);
        rc = view_move(view, txn, VIEW_SORT, &key, true);
    }
    return rc;
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
