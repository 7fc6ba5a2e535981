#include "codec/rewrite.h"

#include <string.h>

/* Members whose value is the id of a project: Nova, Neutron and Cinder by
 * their API references, "owner" and "member_id" Glance, "target_..." the
 * network RBAC and quotas. */
static const char *const id_names[] = {
    "tenant_id",
    "project_id",
    "owner",
    "os-vol-tenant-attr:tenant_id",
    "os-extended-snapshot-attributes:project_id",
    "target_tenant",
    "target_project",
    "member_id",
};

static bool fits(const struct ist_link_map *map, const char *link, size_t len)
{
    size_t n = strlen(map->from);

    return n <= len && memcmp(map->from, link, n) == 0 &&
           (n == len || strchr("/?#", link[n]));
}

/* Parts of a path, and values of parameters, that are the id. */
static void put_path(const struct ist_rewriting *how, const char *text,
                     size_t len, struct ist_sb *out)
{
    size_t from = 0, n = how->id_from ? strlen(how->id_from) : 0;

    for (size_t i = 0; n && i + n < len; i++) {
        const char *end = text + i + 1 + n;

        if (!strchr("/=", text[i]) ||
            memcmp(text + i + 1, how->id_from, n) != 0 ||
            (end < text + len && !strchr("/?&#", *end)))
            continue;
        ist_sb_add(out, text + from, i + 1 - from);
        ist_sb_puts(out, how->id_to);
        from = i + 1 + n;
        i = from - 1;
    }
    ist_sb_add(out, text + from, len - from);
}

void ist_rewrite_link(const struct ist_rewriting *how, const char *link,
                      size_t len, struct ist_sb *out)
{
    const struct ist_link_map *best = NULL;

    for (size_t i = 0; i < how->n_maps; i++) {
        if (fits(&how->maps[i], link, len) &&
            (!best || strlen(how->maps[i].from) > strlen(best->from)))
            best = &how->maps[i];
    }
    if (best) {
        size_t gone = strlen(best->from);

        ist_sb_puts(out, best->to);
        link += gone;
        len -= gone;
    }
    put_path(how, link, len, out);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void outside(struct ist_rewrite *doc, char c)
{
    if (is_space(c) || (c == ',' && doc->in_list))
        return;
    if (c == '"') {
        doc->at = doc->in_list     ? IST_REWRITE_VALUE
                  : doc->has_colon ? doc->next
                                   : IST_REWRITE_STRING;
        doc->n_name = doc->n_held = 0;
        doc->escaped = doc->has_colon = false;
        doc->next = IST_REWRITE_STRING;
    } else if (c == ':' && !doc->has_colon) {
        doc->has_colon = true;
    } else {
        doc->in_list =
            c == '[' && doc->has_colon && doc->next == IST_REWRITE_VALUE;
        doc->has_colon = false;
        doc->next = IST_REWRITE_STRING;
    }
}

/* Is this the character that ends the string? */
static bool ends(struct ist_rewrite *doc, char c)
{
    bool was_escaped = doc->escaped;

    doc->escaped = !was_escaped && c == '\\';
    return !was_escaped && c == '"';
}

static bool is_name(const struct ist_rewrite *doc, const char *name)
{
    return strlen(name) == doc->n_name &&
           memcmp(name, doc->name, doc->n_name) == 0;
}

static bool is_among(const struct ist_rewrite *doc, const char *const *names,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_name(doc, names[i]))
            return true;
    }
    return false;
}

/* What may replace the value of a member of this name. */
static uint32_t swaps_of(const struct ist_rewrite *doc)
{
    const struct ist_rewriting *how = &doc->how;
    uint32_t ret =
        how->id_from && is_among(doc, id_names, IST_COUNT(id_names)) ? 1 : 0;

    for (size_t i = 0; i < how->n_swaps; i++) {
        if (is_among(doc, how->swaps[i].names, how->swaps[i].n_names))
            ret |= UINT32_C(2) << i;
    }
    return ret;
}

/* What the value is of a member of this name. */
static enum ist_rewrite_at value_of(struct ist_rewrite *doc)
{
    if (is_name(doc, "href"))
        return IST_REWRITE_LINK;
    doc->swaps = swaps_of(doc);
    return doc->swaps ? IST_REWRITE_VALUE : IST_REWRITE_STRING;
}

static void in_string(struct ist_rewrite *doc, char c)
{
    if (ends(doc, c)) {
        doc->at = IST_REWRITE_OUTSIDE;
        doc->next = value_of(doc);
        return;
    }
    /* One that is too long is no name we know, and stays so. */
    if (doc->n_name < sizeof(doc->name))
        doc->name[doc->n_name] = c;
    if (doc->n_name <= sizeof(doc->name))
        doc->n_name++;
}

static void let_go(struct ist_rewrite *doc, struct ist_sb *out)
{
    ist_sb_add(out, doc->held, doc->n_held);
    doc->n_held = 0;
}

static bool holds(const struct ist_rewrite *doc, const char *text)
{
    return doc->n_held == strlen(text) &&
           memcmp(doc->held, text, doc->n_held) == 0;
}

/* What is to stand for the value that is held; NULL: itself. */
static const char *swapped(const struct ist_rewrite *doc)
{
    const struct ist_rewriting *how = &doc->how;

    if ((doc->swaps & 1) && holds(doc, how->id_from))
        return how->id_to;
    for (size_t i = 0; i < how->n_swaps; i++) {
        const struct ist_swap *swap = &how->swaps[i];

        if (!(doc->swaps & (UINT32_C(2) << i)))
            continue;
        for (size_t j = 0; j < swap->n_pairs; j++) {
            if (holds(doc, swap->pairs[j].from))
                return swap->pairs[j].to;
        }
    }
    return NULL;
}

static void put_held(struct ist_rewrite *doc, struct ist_sb *out)
{
    const char *text = doc->at == IST_REWRITE_VALUE ? swapped(doc) : NULL;

    if (doc->at == IST_REWRITE_LINK)
        ist_rewrite_link(&doc->how, doc->held, doc->n_held, out);
    else if (text)
        ist_sb_puts(out, text);
    else
        let_go(doc, out);
    doc->n_held = 0;
}

static void in_held(struct ist_rewrite *doc, char c, struct ist_sb *out)
{
    if (ends(doc, c)) {
        put_held(doc, out);
        ist_sb_putc(out, '"');
        doc->at = IST_REWRITE_OUTSIDE;
        return;
    }
    if (doc->n_held == sizeof(doc->held)) {
        let_go(doc, out);
        doc->at = IST_REWRITE_STRING;
        doc->n_name = sizeof(doc->name) + 1;
        ist_sb_putc(out, c);
        return;
    }
    doc->held[doc->n_held++] = c;
}

static bool is_held(const struct ist_rewrite *doc)
{
    return doc->at == IST_REWRITE_LINK || doc->at == IST_REWRITE_VALUE;
}

void ist_rewrite_feed(struct ist_rewrite *doc, const char *data, size_t size,
                      struct ist_sb *out)
{
    size_t from = 0; /* What is not said yet, and goes out as it is. */

    for (size_t i = 0; i < size; i++) {
        if (is_held(doc)) {
            in_held(doc, data[i], out);
            from = i + 1;
        } else if (doc->at == IST_REWRITE_STRING) {
            in_string(doc, data[i]);
        } else {
            outside(doc, data[i]);
        }
        if (is_held(doc) && from <= i) {
            ist_sb_add(out, data + from, i + 1 - from);
            from = i + 1;
        }
    }
    ist_sb_add(out, data + from, size - from);
}

void ist_rewrite_end(struct ist_rewrite *doc, struct ist_sb *out)
{
    let_go(doc, out);
}
