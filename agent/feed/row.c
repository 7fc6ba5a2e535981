#include "feed/row.h"

#include "base/utf8.h"
#include "codec/json.h"

#include <sodium.h>
#include <string.h>

#define PICKS_MAX (IST_KIND_MEMBERS_MAX + OS_VOLATILE_MAX)

/* What is picked of the body: the members, then those that change by
 * themselves. */
struct look {
    struct feed_row *row;
    const struct ist_kind *kind;
    const struct os_resource *resource;
    const char *picks[PICKS_MAX];
    size_t n_picks;
    struct ist_json_slice found[PICKS_MAX];
};

static void add_picks(struct look *look)
{
    for (const struct ist_member *m = look->kind->members; m->name; m++) {
        if (m->path[0])
            look->picks[look->n_picks++] = m->path;
    }
    for (size_t i = 0; i < OS_VOLATILE_MAX && look->resource->changing[i]; i++)
        look->picks[look->n_picks++] = look->resource->changing[i];
}

static int on_object(void *arg, const struct ist_json_element *e)
{
    struct look *look = arg;

    if (!e->refusal)
        memcpy(look->found, e->picks, look->n_picks * sizeof(*look->found));
    return 0;
}

/* The slices found lie in the body, which was fed at once. */
static void find_members(struct look *look, const struct ist_bytes *body)
{
    const struct ist_json_want want = {.collection = "",
                                       .picks = look->picks,
                                       .n_picks = look->n_picks,
                                       .element_max = body->size};
    struct ist_json_split split;

    ist_json_split_init(&split, &want, on_object, look);
    ist_json_split_feed(&split, body->data, body->size);
    if (ist_json_split_end(&split))
        memset(look->found, 0, sizeof(look->found));
    ist_json_split_fini(&split);
}

/* Keys and facts */

/* Bytes of a text that are fit to be shown, cut between two characters. */
static void take_fact(char *fact, const char *text, size_t len)
{
    size_t n = 0;

    for (size_t at = 0, size; at < len; at += size) {
        size = ist_utf8_len(text + at, len - at);
        if (n + (size ? size : 1) > FEED_FACT_MAX)
            break;
        if (size == 0 || (unsigned char) text[at] < ' ' || text[at] == 0x7F) {
            fact[n++] = ' ';
            size = size ? size : 1;
            continue;
        }
        memcpy(fact + n, text + at, size);
        n += size;
    }
    fact[n] = '\0';
}

static void take_state(struct feed_facts *facts, const char *text, size_t len)
{
    size_t n = strlen(facts->state);
    char part[FEED_FACT_MAX + 1];

    take_fact(part, text, len);
    if (n && part[0] && n + 1 < sizeof(facts->state))
        facts->state[n++] = '/';
    strlcpy(facts->state + n, part, sizeof(facts->state) - n);
}

static void take_facts(struct feed_facts *facts, const char *member,
                       const char *text, size_t len)
{
    if (strcmp(member, "name") == 0)
        take_fact(facts->name, text, len);
    else if (strcmp(member, "project") == 0)
        take_fact(facts->project, text, len);
    else if (strcmp(member, "status") == 0 || strcmp(member, "state") == 0)
        take_state(facts, text, len);
}

static void take_keys(const struct look *look, const char *id)
{
    struct feed_row *row = look->row;
    size_t pick = 0;

    for (const struct ist_member *m = look->kind->members; m->name; m++) {
        char *text = row->text[row->n_keys];
        size_t len;

        if (m->path[0]) {
            len = os_key(m->type, look->found[pick++], text);
        } else { /* The project's id, which is the row's. */
            len = strlen(id);
            memcpy(text, id, len);
        }
        if (strcmp(m->name, "id") == 0)
            continue;
        row->keys[row->n_keys++] = (ProtobufCBinaryData){len, (uint8_t *) text};
        take_facts(&row->facts, m->name, text, len);
    }
}

/* The hash */

/* The keys follow from the body by the table of kinds: with another table they
 * are others. */
static void hash_table(crypto_generichash_state *state,
                       const struct ist_kind *kind)
{
    for (const struct ist_member *m = kind->members; m->name; m++) {
        const unsigned char type = (unsigned char) m->type;

        crypto_generichash_update(state, (const unsigned char *) m->path,
                                  strlen(m->path) + 1);
        crypto_generichash_update(state, &type, 1);
    }
}

/* The first of the slices that change by themselves, behind 'at'. */
static const struct ist_json_slice *next_changing(const struct look *look,
                                                  const char *at)
{
    const struct ist_json_slice *next = NULL;

    for (size_t i = 0; i < OS_VOLATILE_MAX && look->resource->changing[i];
         i++) {
        const struct ist_json_slice *v = &look->found[look->n_picks - 1 - i];

        if (v->data && v->data >= at && (!next || v->data < next->data))
            next = v;
    }
    return next;
}

static void hash_body(crypto_generichash_state *state, const struct look *look,
                      const struct ist_bytes *body)
{
    const char *at = body->data, *end = at + body->size;
    const struct ist_json_slice *skip;

    while ((skip = next_changing(look, at)) != NULL) {
        crypto_generichash_update(state, (const unsigned char *) at,
                                  (size_t) (skip->data - at));
        at = skip->data + skip->size;
    }
    crypto_generichash_update(state, (const unsigned char *) at,
                              (size_t) (end - at));
}

void feed_row_read(struct feed_row *row, const struct ist_kind *kind,
                   const struct os_resource *resource,
                   const struct os_record *record)
{
    struct look look = {.row = row, .kind = kind, .resource = resource};
    crypto_generichash_state state;

    row->n_keys = 0;
    row->facts = (struct feed_facts){.name = ""};
    add_picks(&look);
    find_members(&look, &record->body);
    take_keys(&look, record->id);
    crypto_generichash_init(&state, NULL, 0, FEED_HASH_SIZE);
    hash_table(&state, kind);
    hash_body(&state, &look, &record->body);
    crypto_generichash_final(&state, row->hash, FEED_HASH_SIZE);
}

/* As it is kept */

size_t feed_row_write(const struct feed_row *row, uint8_t *buf)
{
    const char *const facts[] = {row->facts.state, row->facts.project,
                                 row->facts.name};
    size_t n = FEED_HASH_SIZE;

    memcpy(buf, row->hash, n);
    for (size_t i = 0; i < IST_COUNT(facts); i++) {
        size_t size = strlen(facts[i]) + 1;

        memcpy(buf + n, facts[i], size);
        n += size;
    }
    return n;
}

bool feed_row_stored(const void *data, size_t size, const uint8_t **ret_hash,
                     struct feed_facts *ret)
{
    char *const facts[] = {ret->state, ret->project, ret->name};
    const char *at = (const char *) data + FEED_HASH_SIZE,
               *end = (const char *) data + size;

    if (size < FEED_HASH_SIZE)
        return false;
    *ret_hash = data;
    for (size_t i = 0; i < IST_COUNT(facts); i++) {
        const char *nul = memchr(at, '\0', (size_t) (end - at));

        if (!nul || nul - at > FEED_FACT_MAX)
            return false;
        memcpy(facts[i], at, (size_t) (nul - at) + 1);
        at = nul + 1;
    }
    return true;
}
