/* One pass over the bytes, with a state that survives the end of a feed. Two
 * things go on at once: grammar (json_scan.c) and matching (json_match.c).
 * What has been found is kept and handed out by json_element.c. */
#include "codec/json.h"

#include "base/err.h"
#include "codec/json_priv.h"

#include <assert.h>
#include <string.h>

/* What of this chunk will still be needed. */
static void keep(struct ist_json_split *s, const char *end)
{
    if (s->in_element)
        ist_json_element_keep(s, end);
    for (unsigned level = 0; level < IST_JSON_PARTS_MAX; level++) {
        if (!s->in_element && level < s->depth && s->root.open[level])
            ist_json_sibling_keep(
                s, s->root.start[__builtin_ctz(s->root.open[level])], end);
    }
    if (s->in_key && ist_json_scan_in_string(s) && ist_json_keys_matter(s)) {
        const char *from = s->chunk;

        if (s->key_start > s->offset)
            from += s->key_start - s->offset;
        ist_json_key_keep(s, from, end);
    }
}

int ist_json_split_feed(struct ist_json_split *s, const void *data, size_t size)
{
    if (s->rc || size == 0)
        return s->rc;
    s->chunk = data;
    ist_json_scan(s, s->chunk, s->chunk + size);
    if (s->rc == 0)
        keep(s, s->chunk + size);
    s->offset += size;
    s->chunk = NULL;
    return s->rc;
}

int ist_json_split_end(struct ist_json_split *s)
{
    if (s->rc)
        return s->rc;
    s->chunk = ""; /* What ends now ends here. */
    if (!ist_json_scan_end(s))
        return ist_json_fail(s, s->chunk, IST_JSON_E_TRUNCATED);
    if (s->want->collection && !s->found)
        return ist_json_fail(s, s->chunk, IST_JSON_E_ABSENT);
    return s->rc;
}

void ist_json_split_reset(struct ist_json_split *s)
{
    s->n_elements = s->error_at = s->offset = 0;
    s->rc = 0;
    s->depth = 0;
    s->objects = 0;
    s->base = 1;
    s->elem_at = IST_JSON_NONE;
    s->in_element = s->found = s->in_key = false;
    s->key_len = 0;
    ist_json_scan_reset(s);
    s->root.whole = 0;
    memset(s->root.open, 0, sizeof(s->root.open));
    s->deeper = 0;
    s->pending = s->want->collection && s->want->collection[0] == '\0' ? 1 : 0;
    ist_sb_reset(&s->carry);
    ist_sb_reset(&s->sibling_text);
}

void ist_json_split_init(struct ist_json_split *s,
                         const struct ist_json_want *want,
                         ist_json_element_fn *fn, void *arg)
{
    *s = (struct ist_json_split){.want = want, .fn = fn, .arg = arg};
    /* Bit 0 of the root is the collection's, wanted or not. */
    ist_json_match_add(&s->root, want->collection ? want->collection : "");
    for (size_t i = 0; i < want->n_siblings; i++)
        ist_json_match_add(&s->root, want->siblings[i]);
    for (size_t i = 0; i < want->n_picks; i++)
        ist_json_match_add(&s->element, want->picks[i]);
    ist_sb_init(&s->carry, want->element_max);
    ist_sb_init(&s->sibling_text, want->siblings_max);
    ist_json_split_reset(s);
}

void ist_json_split_fini(struct ist_json_split *s)
{
    ist_sb_fini(&s->carry);
    ist_sb_fini(&s->sibling_text);
}

struct ist_json_slice ist_json_split_sibling(const struct ist_json_split *s,
                                             size_t i)
{
    assert(i < s->want->n_siblings);
    i++;
    if (s->rc || !(s->root.whole >> i & 1))
        return (struct ist_json_slice){NULL, 0};
    return (struct ist_json_slice){ist_sb_text(&s->sibling_text) +
                                       s->sibling_at[i],
                                   (size_t) s->root.size[i]};
}

const char *ist_json_outcome_name(int rc)
{
    static const char *const names[] = {
        [IST_JSON_E_SYNTAX] = "not JSON",
        [IST_JSON_E_DEPTH] = "JSON nested too deep",
        [IST_JSON_E_TRUNCATED] = "JSON that ends too early",
        [IST_JSON_E_ABSENT] = "JSON without the expected list",
        [IST_JSON_E_SHAPE] = "JSON whose list is no list",
        [IST_JSON_E_TWICE] = "JSON with the same member twice",
        [IST_JSON_E_SIZE] = "JSON with members too large",
    };

    if (rc > 0 && (size_t) rc < IST_COUNT(names))
        return names[rc];
    return rc ? ist_err_name(rc) : "sound";
}
