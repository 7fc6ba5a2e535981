/* Only in the first levels below the root, and below an element, are member
 * names looked at: sets of paths as bit masks, one mask for each level. Deeper
 * or elsewhere a member costs nothing but its grammar. */
#include "codec/json_priv.h"

#include <assert.h>
#include <string.h>

static void path_init(struct ist_json_path *path, const char *text)
{
    const char *between = *text == '/' ? "/" : ".", *at = text;

    *path = (struct ist_json_path){.text = text};
    if (*text == '\0')
        return;
    at += *text == '/';
    for (;;) {
        size_t len = strcspn(at, between);

        assert(path->n_parts < IST_JSON_PARTS_MAX);
        assert(len > 0 && len <= IST_JSON_KEY_MAX);
        assert((size_t) (at - text) <= UINT8_MAX);
        path->at[path->n_parts] = (uint8_t) (at - text);
        path->len[path->n_parts++] = (uint8_t) len;
        if (at[len] == '\0')
            return;
        at += len + 1;
    }
}

void ist_json_match_add(struct ist_json_match *m, const char *text)
{
    struct ist_json_path *path = &m->paths[m->n];

    assert(m->n < IST_JSON_PATHS_MAX);
    path_init(path, text);
    for (size_t i = 0; i < path->n_parts; i++)
        m->lens[i] |= UINT64_C(1) << path->len[i];
    m->n++;
}

/* All paths that go through an object at level 0. */
uint32_t ist_json_match_all(const struct ist_json_match *m)
{
    uint32_t all = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (m->paths[i].n_parts)
            all |= UINT32_C(1) << i;
    }
    return all;
}

/* Called for a value that somebody wants to know about. */
int ist_json_wanted_begin(struct ist_json_split *s, const char *p)
{
    struct ist_json_match *m = ist_json_matching(s);
    unsigned level = s->depth - s->base;
    uint32_t mask = s->pending;

    s->pending = 0;
    if (s->depth == s->elem_at && !s->in_element) {
        ist_json_element_begin(s, p);
        return 0;
    }
    if (!s->in_element && (mask & 1))
        return ist_json_collection_begin(s, p);
    m->open[level] = mask;
    for (; mask; mask &= mask - 1) {
        int i = __builtin_ctz(mask);

        m->start[i] = ist_json_offset_of(s, p);
        if (!s->in_element)
            s->sibling_at[i] = s->sibling_text.len;
    }
    return 0;
}

int ist_json_wanted_end(struct ist_json_split *s, const char *p, unsigned level)
{
    struct ist_json_match *m = ist_json_matching(s);
    uint32_t mask = m->open[level];

    m->open[level] = 0;
    m->whole |= mask;
    for (; mask; mask &= mask - 1) {
        int i = __builtin_ctz(mask);

        m->size[i] = ist_json_offset_of(s, p) - m->start[i];
        if (!s->in_element && ist_json_sibling_keep(s, m->start[i], p))
            return s->rc;
    }
    return 0;
}

/* A member name where names are looked at. */
int ist_json_key_found(struct ist_json_split *s, const char *p,
                       const char *text, size_t len)
{
    struct ist_json_match *m = ist_json_matching(s);
    unsigned level = s->depth - s->base;
    char plain[IST_JSON_KEY_TEXT_MAX];

    s->pending = s->deeper = 0;
    if (len > IST_JSON_KEY_TEXT_MAX)
        return 0;
    if (s->key_escaped) {
        len = ist_json_unescape(text, len, plain);
        text = plain;
    }
    if (len > IST_JSON_KEY_MAX || !(m->lens[level] >> len & 1))
        return 0;
    for (uint32_t mask = m->live[level]; mask; mask &= mask - 1) {
        uint32_t bit = mask & -mask;
        const struct ist_json_path *path = &m->paths[__builtin_ctz(mask)];

        if (path->len[level] != len ||
            memcmp(path->text + path->at[level], text, len) != 0)
            continue;
        if (m->seen[level] & bit) {
            if (!s->in_element)
                return ist_json_fail(s, p, IST_JSON_E_TWICE);
            s->ambiguous = true;
        }
        m->seen[level] |= bit;
        if (path->n_parts == level + 1)
            s->pending |= bit;
        else
            s->deeper |= bit;
    }
    return 0;
}

/* A name too long to matter is remembered as one byte over the limit. */
void ist_json_key_keep(struct ist_json_split *s, const char *from,
                       const char *end)
{
    size_t len = (size_t) (end - from);

    if (len > sizeof(s->key) - s->key_len) {
        s->key_len = sizeof(s->key);
        return;
    }
    memcpy(s->key + s->key_len, from, len);
    s->key_len += len;
}
