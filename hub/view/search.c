/* The map that is searched: each name, id and address in lower case. Addresses
 * stand in the body, at paths that depend on the kind. */
#include "view/sorted.h"

#include "codec/json.h"
#include "view/moves.h"

#include <errno.h>
#include <string.h>

enum what { ID = 1, NAME, ADDRESS };

static const char *const what_names[] = {
    [ID] = "id", [NAME] = "name", [ADDRESS] = "address"};

#define ADDRESSES_MAX 64 /* Of one row; more cannot be searched for. */
#define ADDRESS_MAX   64

/* Where addresses are: every string that is a value of one of these members,
 * however deep below 'path'. */
static const struct {
    const char *kind, *path;
    const char *members[3]; /* NULL-ended; none: the value itself. */
} places[] = {
    {"server", "addresses", {"addr", "OS-EXT-IPS-MAC:mac_addr"}},
    {"port", "fixed_ips", {"ip_address"}},
    {"port", "mac_address", {NULL}},
    {"floating-ip", "floating_ip_address", {NULL}},
    {"floating-ip", "fixed_ip_address", {NULL}},
    {"subnet", "cidr", {NULL}},
    {"subnet", "gateway_ip", {NULL}},
};

/* Texts of one row */

struct texts {
    struct text {
        enum what what;
        char data[VIEW_VALUE_MAX + 1];
        size_t len;
    } all[ADDRESSES_MAX + 2];
    size_t n;
};

static void add_text(struct texts *texts, enum what what, const char *data,
                     size_t len)
{
    struct text *text;

    if (len == 0 || texts->n == IST_COUNT(texts->all))
        return;
    text = &texts->all[texts->n++];
    text->what = what;
    text->len = len < VIEW_VALUE_MAX ? len : VIEW_VALUE_MAX;
    memcpy(text->data, data, text->len);
}

static void add_address(struct texts *texts, struct ist_json_slice value)
{
    char text[ADDRESS_MAX];
    size_t len;

    if (ist_json_type(value) == IST_JSON_STRING &&
        ist_json_text(value, text, sizeof(text), &len))
        add_text(texts, ADDRESS, text, len);
}

static bool is_key(struct ist_json_slice value, const char *const *members)
{
    for (size_t i = 0; i < 3 && members[i]; i++) {
        if (ist_json_text_is(value, members[i]))
            return true;
    }
    return false;
}

/* The end of the string that begins at 'at'. */
static const char *string_end(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\')
            at++;
    }
    return at < end ? at + 1 : end;
}

/* 'value' comes from a scan, so it is sound JSON: strings are all that has to
 * be told apart. */
static void add_below(struct texts *texts, struct ist_json_slice value,
                      const char *const *members)
{
    const char *at = value.data, *end = at + value.size;
    bool wanted = false;

    while (at < end) {
        const char *start = at;

        if (*at != '"') {
            at++;
            continue;
        }
        at = string_end(at, end);
        struct ist_json_slice string = {start, (size_t) (at - start)};

        while (at < end && (*at == ' ' || *at == '\n' || *at == '\t'))
            at++;
        if (at < end && *at == ':') {
            wanted = is_key(string, members);
            continue;
        }
        if (wanted)
            add_address(texts, string);
        wanted = false;
    }
}

static void add_addresses(struct texts *texts, const struct view_facts *facts)
{
    struct ist_json_slice body = {facts->row->body.data, facts->row->body.size};

    for (size_t i = 0; i < IST_COUNT(places); i++) {
        struct ist_json_slice found;

        if (strcmp(places[i].kind, facts->kind->name) != 0)
            continue;
        found = ist_json_find(body, places[i].path);
        if (ist_json_type(found) == IST_JSON_ABSENT)
            continue;
        if (places[i].members[0])
            add_below(texts, found, places[i].members);
        else
            add_address(texts, found);
    }
}

static void collect(struct texts *texts, const struct view_facts *facts)
{
    int name = view_member(facts->kind, "name");
    struct ist_bytes text;

    texts->n = 0;
    if (!facts->row)
        return;
    add_text(texts, ID, facts->id.data, facts->id.size);
    if (name >= 0) {
        text = view_row_key(facts->kind, (size_t) name, facts->row, &facts->id);
        add_text(texts, NAME, text.data, text.size);
    }
    add_addresses(texts, facts);
}

/* Keeping the map true */

static bool holds(const struct texts *texts, const struct text *text)
{
    for (size_t i = 0; i < texts->n; i++) {
        if (texts->all[i].what == text->what &&
            texts->all[i].len == text->len &&
            memcmp(texts->all[i].data, text->data, text->len) == 0)
            return true;
    }
    return false;
}

static int change(struct view *view, MDB_txn *txn,
                  const struct view_facts *facts, const struct text *text,
                  bool there)
{
    struct view_key key;

    view_key_text(&key, text->data, text->len);
    view_key_add_hit(&key, view_kind_number(view, facts->kind),
                     (uint8_t) text->what, facts->site, &facts->id);
    return view_move(view, txn, VIEW_SEARCH, &key, there);
}

static bool is_same_body(const struct view_facts *a, const struct view_facts *b)
{
    return a->row && b->row && ist_bytes_equal(&a->row->body, &b->row->body);
}

int view_search_move(struct view *view, MDB_txn *txn,
                     const struct view_facts *before,
                     const struct view_facts *after)
{
    struct texts was, is;
    int rc = 0;

    if (is_same_body(before, after))
        return 0;
    collect(&was, before);
    collect(&is, after);
    for (size_t i = 0; i < was.n && rc == 0; i++) {
        if (!holds(&is, &was.all[i]))
            rc = change(view, txn, before, &was.all[i], false);
    }
    for (size_t i = 0; i < is.n && rc == 0; i++) {
        if (!holds(&was, &is.all[i]))
            rc = change(view, txn, after, &is.all[i], true);
    }
    return rc;
}

/* Searching */

struct search {
    struct view *view;
    MDB_txn *txn;
    struct ist_arena *arena;
    char *const *projects;
    size_t n_projects, limit;
    struct view_hit *hits;
    size_t n;
    bool more, full;
};

static bool is_allowed(const struct search *search, const struct ist_kind *kind,
                       const struct view_stored *row,
                       const struct ist_bytes *id)
{
    int project = view_member(kind, "project");
    struct ist_bytes value;

    if (!search->projects)
        return true;
    if (project < 0)
        return false;
    value = view_row_key(kind, (size_t) project, row, id);
    for (size_t i = 0; i < search->n_projects; i++) {
        if (strlen(search->projects[i]) == value.size &&
            memcmp(search->projects[i], value.data, value.size) == 0)
            return true;
    }
    return false;
}

static char *copy(struct search *search, const void *data, size_t size)
{
    return ist_arena_dup(search->arena, data, size);
}

static void take_hit(struct search *search, const MDB_val *key)
{
    struct view_hit *hit = &search->hits[search->n];
    const struct ist_kind *kind;
    const char *text, *site;
    struct view_stored row;
    struct view_key row_key;
    struct ist_bytes id, name = {"", 0};
    MDB_val k, value;
    uint16_t number;
    uint8_t what;
    int member;

    if (!view_key_hit_parse(key, &text, &number, &what, &site, &id))
        return;
    kind = view_kind_of(search->view, number);
    if (!kind || what >= IST_COUNT(what_names) || !what_names[what])
        return;
    view_key_row(&row_key, number, site, &id);
    k = view_key_val(&row_key);
    if (mdb_get(search->txn, search->view->maps[VIEW_ROW], &k, &value) ||
        !view_row_read(value.mv_data, value.mv_size, &row) ||
        !is_allowed(search, kind, &row, &id))
        return;
    if (search->n == search->limit) {
        search->more = true;
        return;
    }
    member = view_member(kind, "name");
    if (member >= 0)
        name = view_row_key(kind, (size_t) member, &row, &id);
    *hit = (struct view_hit){.kind = kind,
                             .what = what_names[what],
                             .site = copy(search, site, strlen(site)),
                             .id = copy(search, id.data, id.size),
                             .name = copy(search, name.data, name.size),
                             .text = copy(search, text, strlen(text))};
    search->full = !hit->site || !hit->id || !hit->name || !hit->text;
    search->n += !search->full;
}

/* The map is in the order of its texts, so those equal to what is searched for
 * come first by themselves. */
int view_search(struct view *view, const char *text, char *const *projects,
                size_t n_projects, size_t limit, struct ist_arena *arena,
                struct view_hit **ret, size_t *ret_n, bool *ret_more,
                struct ist_err *err)
{
    struct search search = {.view = view,
                            .arena = arena,
                            .projects = projects,
                            .n_projects = n_projects,
                            .limit = limit};
    struct view_key prefix;
    MDB_cursor *cursor;
    MDB_val k, value;
    int rc;

    view_key_text(&prefix, text, strlen(text));
    if (prefix.len < 2)
        return ist_err_set(err, -EINVAL, "two characters at least are needed");
    search.hits = ist_arena_zalloc(arena, (limit + 1) * sizeof(*search.hits));
    if (!search.hits)
        return ist_err_set(err, -ENOBUFS, "out of the request's memory");
    rc = ist_tree_read(view->tree, &search.txn, err);
    if (rc)
        return rc;
    rc = mdb_cursor_open(search.txn, view->maps[VIEW_SEARCH], &cursor);
    if (rc == 0) {
        k = view_key_val(&prefix);
        rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
        while (rc == 0 && view_key_begins(&prefix, &k) && !search.more &&
               !search.full) {
            take_hit(&search, &k);
            rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT);
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(search.txn);
    *ret = search.hits;
    *ret_n = search.n;
    *ret_more = search.more;
    if (search.full)
        return ist_err_set(err, -ENOBUFS, "out of the request's memory");
    return rc == MDB_NOTFOUND ? 0
                              : ist_tree_fault(rc, "searching the view", err);
}
