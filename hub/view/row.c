#include "view/row.h"

#include <string.h>

/* Host byte order: the file does not travel. */
struct head {
    uint64_t generation;
    uint32_t body_size;
    uint16_t n_keys;
    uint16_t len[IST_KIND_MEMBERS_MAX];
};

void view_row_write(struct ist_sb *out, const struct view_stored *row)
{
    struct head head = {.generation = row->generation,
                        .body_size = (uint32_t) row->body.size};

    ist_sb_reset(out);
    head.n_keys =
        (uint16_t) (row->n_keys < IST_KIND_MEMBERS_MAX ? row->n_keys
                                                       : IST_KIND_MEMBERS_MAX);
    for (size_t i = 0; i < head.n_keys; i++)
        head.len[i] = (uint16_t) (row->keys[i].size < IST_ORDER_KEY_MAX
                                      ? row->keys[i].size
                                      : IST_ORDER_KEY_MAX);
    ist_sb_add(out, &head, sizeof(head));
    for (size_t i = 0; i < head.n_keys; i++)
        ist_sb_add(out, row->keys[i].data, head.len[i]);
    ist_sb_add(out, row->body.data, row->body.size);
}

bool view_row_read(const void *data, size_t size, struct view_stored *ret)
{
    const char *at = (const char *) data + sizeof(struct head);
    size_t left = size - sizeof(struct head);
    struct head head;

    if (size < sizeof(head))
        return false;
    memcpy(&head, data, sizeof(head));
    if (head.n_keys > IST_KIND_MEMBERS_MAX)
        return false;
    ret->generation = head.generation;
    ret->n_keys = head.n_keys;
    for (size_t i = 0; i < head.n_keys; i++) {
        if (head.len[i] > left)
            return false;
        ret->keys[i] = (struct ist_bytes){at, head.len[i]};
        at += head.len[i];
        left -= head.len[i];
    }
    ret->body = (struct ist_bytes){at, head.body_size};
    return head.body_size == left;
}

struct ist_bytes view_row_key(const struct ist_kind *kind, size_t member,
                              const struct view_stored *row,
                              const struct ist_bytes *id)
{
    size_t i = 0;

    if (strcmp(kind->members[member].name, "id") == 0)
        return *id;
    for (size_t m = 0; m < member; m++)
        i += strcmp(kind->members[m].name, "id") != 0;
    return i < row->n_keys ? row->keys[i] : (struct ist_bytes){"", 0};
}

int view_member(const struct ist_kind *kind, const char *name)
{
    for (int i = 0; kind->members[i].name; i++) {
        if (strcmp(kind->members[i].name, name) == 0)
            return i;
    }
    return -1;
}
