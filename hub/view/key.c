#include "view/key.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static void add(struct view_key *key, const void *data, size_t len)
{
    assert(key->len + len <= sizeof(key->data));
    memcpy(key->data + key->len, data, len);
    key->len += len;
}

static void add_byte(struct view_key *key, uint8_t byte)
{
    add(key, &byte, 1);
}

static void add_u16(struct view_key *key, uint16_t n)
{
    add_byte(key, (uint8_t) (n >> 8));
    add_byte(key, (uint8_t) n);
}

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t) (at[0] << 8 | at[1]);
}

/* Rows */

void view_key_row(struct view_key *key, uint16_t kind, const char *site,
                  const struct ist_bytes *id)
{
    key->len = 0;
    add_u16(key, kind);
    add(key, site, strlen(site) + 1);
    if (id)
        add(key, id->data, id->size);
}

static bool parse_row(const uint8_t *at, const uint8_t *end,
                      const char **ret_site, struct ist_bytes *ret_id)
{
    const uint8_t *nul = at < end ? memchr(at, 0, (size_t) (end - at)) : NULL;

    if (!nul)
        return false;
    *ret_site = (const char *) at;
    *ret_id = (struct ist_bytes){nul + 1, (size_t) (end - nul - 1)};
    return true;
}

bool view_key_row_parse(const MDB_val *bytes, const char **ret_site,
                        struct ist_bytes *ret_id)
{
    const uint8_t *at = bytes->mv_data;

    return bytes->mv_size > 2 &&
           parse_row(at + 2, at + bytes->mv_size, ret_site, ret_id);
}

/* Sorting */

/* Secret to nobody: two projects with one hash only cost a look. */
static void add_project(struct view_key *key, const struct ist_bytes *project)
{
    uint8_t hash[crypto_generichash_BYTES_MIN];

    crypto_generichash(hash, sizeof(hash), project->data, project->size, NULL,
                       0);
    add(key, hash, 8);
}

void view_key_scope(struct view_key *key, uint16_t kind, uint8_t member,
                    const struct ist_bytes *project)
{
    key->len = 0;
    add_u16(key, kind);
    add_byte(key, member);
    add_byte(key, project != NULL);
    if (project)
        add_project(key, project);
}

bool view_key_add_value(struct view_key *key, const struct ist_bytes *value)
{
    const uint8_t *data = value->data;
    size_t start = key->len, i = 0;

    for (; i < value->size && key->len - start < VIEW_VALUE_MAX - 1; i++) {
        add_byte(key, data[i]);
        if (data[i] == 0)
            add_byte(key, 0xFF);
    }
    add(key, "\0", 2);
    return i < value->size;
}

void view_key_add_row(struct view_key *key, const char *site,
                      const struct ist_bytes *id)
{
    add(key, site, strlen(site) + 1);
    add(key, id->data, id->size);
}

bool view_key_sort_parse(const MDB_val *bytes, const struct view_key *scope,
                         size_t *ret_with_value, const char **ret_site,
                         struct ist_bytes *ret_id)
{
    const uint8_t *data = bytes->mv_data, *end = data + bytes->mv_size;
    const uint8_t *at = data + scope->len;

    if (!view_key_begins(scope, bytes))
        return false;
    while (at + 1 < end && (at[0] || at[1]))
        at += at[0] ? 1 : 2;
    if (at + 1 >= end)
        return false;
    at += 2;
    *ret_with_value = (size_t) (at - data);
    return parse_row(at, end, ret_site, ret_id);
}

/* Searching */

void view_key_text(struct view_key *key, const char *text, size_t len)
{
    key->len = 0;
    for (size_t i = 0; i < len && key->len < VIEW_VALUE_MAX; i++) {
        uint8_t c = (uint8_t) text[i];

        if (c)
            add_byte(key, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
}

void view_key_add_hit(struct view_key *key, uint16_t kind, uint8_t what,
                      const char *site, const struct ist_bytes *id)
{
    add_byte(key, 0);
    add_u16(key, kind);
    add_byte(key, what);
    view_key_add_row(key, site, id);
}

bool view_key_hit_parse(const MDB_val *bytes, const char **ret_text,
                        uint16_t *ret_kind, uint8_t *ret_what,
                        const char **ret_site, struct ist_bytes *ret_id)
{
    const uint8_t *data = bytes->mv_data, *end = data + bytes->mv_size;
    const uint8_t *nul = memchr(data, 0, bytes->mv_size);

    if (!nul || end - nul < 4)
        return false;
    *ret_text = (const char *) data;
    *ret_kind = get_u16(nul + 1);
    *ret_what = nul[3];
    return parse_row(nul + 4, end, ret_site, ret_id);
}
