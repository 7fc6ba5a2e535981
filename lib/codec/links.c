#include "codec/links.h"

#include <string.h>

#define NOT_HREF 5 /* Of n_string: longer than it, or another word. */

static bool fits(const struct ist_link_map *map, const char *link, size_t len)
{
    size_t n = strlen(map->from);

    return n <= len && memcmp(map->from, link, n) == 0 &&
           (n == len || strchr("/?#", link[n]));
}

bool ist_link_rewrite(const struct ist_link_map *maps, size_t n,
                      const char *link, size_t len, struct ist_sb *out)
{
    const struct ist_link_map *best = NULL;

    for (size_t i = 0; i < n; i++) {
        if (fits(&maps[i], link, len) &&
            (!best || strlen(maps[i].from) > strlen(best->from)))
            best = &maps[i];
    }
    if (best) {
        size_t gone = strlen(best->from);

        ist_sb_puts(out, best->to);
        link += gone;
        len -= gone;
    }
    ist_sb_add(out, link, len);
    return best != NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void outside(struct ist_links *links, char c)
{
    if (is_space(c))
        return;
    if (c == '"') {
        links->at = links->is_href && links->has_colon ? IST_LINKS_VALUE
                                                       : IST_LINKS_STRING;
        links->n_string = links->n_held = 0;
        links->escaped = links->is_href = links->has_colon = false;
    } else if (c == ':' && links->is_href && !links->has_colon) {
        links->has_colon = true;
    } else {
        links->is_href = links->has_colon = false;
    }
}

/* Is this the character that ends the string? */
static bool ends(struct ist_links *links, char c)
{
    bool was_escaped = links->escaped;

    links->escaped = !was_escaped && c == '\\';
    return !was_escaped && c == '"';
}

static void in_string(struct ist_links *links, char c)
{
    static const char href[] = "href";

    if (ends(links, c)) {
        links->at = IST_LINKS_OUTSIDE;
        links->is_href = links->n_string == 4;
    } else if (links->n_string < 4 && c == href[links->n_string]) {
        links->n_string++;
    } else {
        links->n_string = NOT_HREF;
    }
}

static void let_go(struct ist_links *links, struct ist_sb *out)
{
    ist_sb_add(out, links->held, links->n_held);
    links->n_held = 0;
}

static void in_value(struct ist_links *links, char c, struct ist_sb *out)
{
    if (ends(links, c)) {
        ist_link_rewrite(links->maps, links->n_maps, links->held, links->n_held,
                         out);
        ist_sb_putc(out, '"');
        links->n_held = 0;
        links->at = IST_LINKS_OUTSIDE;
        return;
    }
    if (links->n_held == sizeof(links->held)) {
        let_go(links, out);
        links->at = IST_LINKS_STRING;
        links->n_string = NOT_HREF;
        ist_sb_putc(out, c);
        return;
    }
    links->held[links->n_held++] = c;
}

void ist_links_feed(struct ist_links *links, const char *data, size_t size,
                    struct ist_sb *out)
{
    size_t from = 0; /* What is not said yet, and goes out as it is. */

    for (size_t i = 0; i < size; i++) {
        if (links->at == IST_LINKS_VALUE) {
            in_value(links, data[i], out);
            from = i + 1;
        } else if (links->at == IST_LINKS_STRING) {
            in_string(links, data[i]);
        } else {
            outside(links, data[i]);
        }
        if (links->at == IST_LINKS_VALUE && from <= i) {
            ist_sb_add(out, data + from, i + 1 - from);
            from = i + 1;
        }
    }
    ist_sb_add(out, data + from, size - from);
}

void ist_links_end(struct ist_links *links, struct ist_sb *out)
{
    let_go(links, out);
}
