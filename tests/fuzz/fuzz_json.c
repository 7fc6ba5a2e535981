/* The scanner against jansson: both accept a document or both refuse it, and
 * what the scanner picks is what jansson finds. The first byte says how the
 * document is cut. */
#include "codec/json.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition))                                                      \
            abort();                                                           \
    } while (0)

#define LENIENT (JSON_DECODE_ANY | JSON_ALLOW_NUL)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const picks[] = {"id", "a.id", "a.b.c", "name"};

struct run {
    json_t *elements; /* By jansson; NULL: not compared. */
    bool list;
    size_t n;
};

/* The value at a path that has no name twice, or NULL. */
static json_t *lookup(json_t *value, const char *path)
{
    char part[16];

    while (*path) {
        size_t len = strcspn(path, ".");

        REQUIRE(len < sizeof(part));
        memcpy(part, path, len);
        part[len] = '\0';
        value = json_object_get(value, part); /* NULL if it is no object. */
        path += len + (path[len] == '.');
    }
    return value;
}

static void check_pick(json_t *wanted, struct ist_json_slice slice)
{
    json_t *found;

    REQUIRE((wanted != NULL) == (slice.data != NULL));
    if (!wanted)
        return;
    found = json_loadb(slice.data, slice.size, LENIENT, NULL);
    REQUIRE(found && json_equal(found, wanted));
    if (json_is_string(wanted)) {
        char *text = malloc(slice.size);
        size_t len;

        REQUIRE(text && ist_json_text(slice, text, slice.size, &len));
        REQUIRE(len == json_string_length(wanted));
        REQUIRE(memcmp(text, json_string_value(wanted), len) == 0);
        free(text);
    }
    json_decref(found);
}

static int on_element(void *arg, const struct ist_json_element *e)
{
    struct run *run = arg;
    json_t *element;

    if (run->elements) {
        element =
            run->list ? json_array_get(run->elements, run->n) : run->elements;
        REQUIRE(e->refusal == IST_JSON_FINE);
        check_pick(element, e->bytes);
        for (size_t i = 0; i < IST_COUNT(picks); i++)
            check_pick(lookup(element, picks[i]), e->picks[i]);
    }
    run->n++;
    return 0;
}

/* In pieces of 'cut' bytes, each in memory of its own; 0: all at once. */
static int scan(const struct ist_json_want *want, const uint8_t *data,
                size_t size, size_t cut, struct run *run)
{
    struct ist_json_split split;
    int rc;

    ist_json_split_init(&split, want, on_element, run);
    for (size_t at = 0; at < size;) {
        size_t n = cut && cut < size - at ? cut : size - at;
        uint8_t *piece = malloc(n);

        REQUIRE(piece);
        memcpy(piece, data + at, n);
        ist_json_split_feed(&split, piece, n);
        free(piece);
        at += n;
    }
    rc = ist_json_split_end(&split);
    REQUIRE(rc == split.rc && split.error_at <= size);
    ist_json_split_fini(&split);
    return rc;
}

/* What jansson refuses and RFC 8259 does not. */
static bool jansson_alone(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow ||
           code == json_error_null_byte_in_key ||
           code == json_error_null_character;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const collections[] = {"", "servers", "a.list"};
    struct ist_json_want want = {
        .picks = picks, .n_picks = IST_COUNT(picks), .element_max = 1 << 20};
    json_error_t error;
    json_t *tree;
    size_t cut;
    int rc;

    if (size == 0)
        return 0;
    cut = data[0] % 16;
    data++;
    size--;
    tree = json_loadb((const char *) data, size, LENIENT, &error);
    rc = scan(&want, data, size, cut, &(struct run){.list = false});
    /* A bare NUL is never JSON; jansson loses one that follows a number. */
    if (memchr(data, 0, size))
        REQUIRE(rc != 0);
    else if (rc != IST_JSON_E_DEPTH && (tree || !jansson_alone(&error)))
        REQUIRE((tree != NULL) == (rc == 0));
    json_decref(tree);
    if (rc)
        return 0;

    /* Names that come twice: the scanner has its own opinion. */
    tree = json_loadb((const char *) data, size,
                      LENIENT | JSON_REJECT_DUPLICATES, NULL);
    for (size_t i = 0; i < IST_COUNT(collections); i++) {
        json_t *list = tree ? lookup(tree, collections[i]) : NULL;
        struct run run = {.elements = list, .list = json_is_array(list)};

        want.collection = collections[i];
        rc = scan(&want, data, size, cut, &run);
        if (!tree)
            continue;
        if (!list)
            REQUIRE(rc == IST_JSON_E_ABSENT);
        else if (!json_is_array(list) && !json_is_object(list))
            REQUIRE(rc == IST_JSON_E_SHAPE);
        else
            REQUIRE(rc == 0 && run.n == (run.list ? json_array_size(list) : 1));
    }
    json_decref(tree);
    return 0;
}
