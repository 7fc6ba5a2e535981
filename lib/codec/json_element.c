/* An element that lies within one feed is handed out where it is. Of one that
 * is cut, the head is kept in 'carry'; picks are offsets in the document, so
 * they do not care where the bytes are. Siblings are always kept. */
#include "codec/json_priv.h"

#include <errno.h>

void ist_json_element_begin(struct ist_json_split *s, const char *p)
{
    s->in_element = true;
    s->ambiguous = s->too_large = false;
    s->elem_start = ist_json_offset_of(s, p);
    s->base = s->depth + 1;
    s->element.whole = 0;
    s->pending = s->deeper = 0;
    ist_sb_reset(&s->carry);
}

/* The part of the element that lies in this chunk, up to 'p', goes behind
 * what is kept of it. */
int ist_json_element_keep(struct ist_json_split *s, const char *p)
{
    const char *from = s->chunk;

    if (s->too_large)
        return 0;
    if (s->elem_start > s->offset)
        from += s->elem_start - s->offset;
    ist_sb_add(&s->carry, from, (size_t) (p - from));
    if (s->carry.rc == -ENOMEM)
        return ist_json_fail(s, p, -ENOMEM);
    s->too_large = s->carry.rc != 0;
    return 0;
}

static void element_fill(const struct ist_json_split *s, const char *data,
                         uint64_t size, struct ist_json_element *e)
{
    const struct ist_json_match *m = &s->element;

    e->bytes = (struct ist_json_slice){data, (size_t) size};
    for (size_t i = 0; i < m->n; i++) {
        if (m->whole >> i & 1)
            e->picks[i] = (struct ist_json_slice){
                data + (m->start[i] - s->elem_start), (size_t) m->size[i]};
        else
            e->picks[i] = (struct ist_json_slice){NULL, 0};
    }
    e->refusal = s->ambiguous ? IST_JSON_AMBIGUOUS : IST_JSON_FINE;
}

int ist_json_element_end(struct ist_json_split *s, const char *p)
{
    uint64_t size = ist_json_offset_of(s, p) - s->elem_start;
    struct ist_json_element e;
    int rc;

    if (size > s->want->element_max)
        s->too_large = true;
    if (s->elem_start < s->offset && ist_json_element_keep(s, p))
        return s->rc;
    if (s->too_large)
        e = (struct ist_json_element){.refusal = IST_JSON_TOO_LARGE};
    else if (s->elem_start >= s->offset)
        element_fill(s, s->chunk + (s->elem_start - s->offset), size, &e);
    else
        element_fill(s, ist_sb_text(&s->carry), size, &e);
    s->in_element = false;
    s->base = 1;
    s->n_elements++;
    rc = s->fn ? s->fn(s->arg, &e) : 0;
    return rc ? ist_json_fail(s, p, rc) : 0;
}

int ist_json_collection_begin(struct ist_json_split *s, const char *p)
{
    s->found = true;
    if (*p == '[') {
        s->elem_at = s->depth + 1;
    } else if (*p == '{') {
        s->elem_at = s->depth;
        ist_json_element_begin(s, p);
    } else {
        return ist_json_fail(s, p, IST_JSON_E_SHAPE);
    }
    return 0;
}

int ist_json_sibling_keep(struct ist_json_split *s, uint64_t start,
                          const char *p)
{
    const char *from = s->chunk;

    if (start > s->offset)
        from += start - s->offset;
    ist_sb_add(&s->sibling_text, from, (size_t) (p - from));
    if (s->sibling_text.rc == 0)
        return 0;
    return ist_json_fail(
        s, p, s->sibling_text.rc == -ENOMEM ? -ENOMEM : IST_JSON_E_SIZE);
}
