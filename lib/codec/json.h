/* A pull scanner for list answers: splits the array of a JSON document into
 * its elements while the document still arrives, and hands them out as slices
 * of the original bytes.
 *
 *     {"servers": [ {"id": "6f..", "flavor": {"id": "1"}}, ... ],
 *      "servers_links": [ {"rel": "next", ...} ]}
 *       collection     element    pick "flavor.id"
 *       sibling
 *
 * There is no tree, no recursion and no allocation per value. It can be fed
 * any number of bytes at a time. It accepts what RFC 8259 accepts and nothing
 * else, UTF-8 and escapes included, with three limits of its own: nesting up
 * to IST_JSON_DEPTH_MAX, no lone surrogate in an escape, no collection,
 * sibling or picked member twice in its object. The whole document is
 * checked, not only what is picked; whether it was complete is known after
 * ist_json_split_end(), so keep what the elements gave apart until then.
 *
 * Cost: every byte is read once; bytes of an element that straddles two feeds
 * are copied once. */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IST_JSON_DEPTH_MAX    64 /* Containers within each other. */
#define IST_JSON_PATHS_MAX    16 /* Picks of an element; siblings and one. */
#define IST_JSON_PARTS_MAX    6  /* Of a dotted path. */
#define IST_JSON_KEY_MAX      63 /* Bytes of one part of a path. */
#define IST_JSON_KEY_TEXT_MAX (6 * IST_JSON_KEY_MAX) /* The same, escaped. */

/* Bytes of a document: a whole value as it was written. 'data' NULL: there is
 * no such member. */
struct ist_json_slice {
    const char *data;
    size_t size;
};

/* Why a document was refused. Sticky: the first one stays. */
enum ist_json_outcome {
    IST_JSON_E_SYNTAX = 1, /* Not JSON, or not UTF-8. */
    IST_JSON_E_DEPTH,      /* Over IST_JSON_DEPTH_MAX. */
    IST_JSON_E_TRUNCATED,  /* It ends before its end. */
    IST_JSON_E_ABSENT,     /* JSON, but without the collection. */
    IST_JSON_E_SHAPE,      /* The collection is neither list nor object. */
    IST_JSON_E_TWICE,      /* The collection or a sibling came twice. */
    IST_JSON_E_SIZE,       /* The siblings are over 'siblings_max'. */
};

/* Why one element was refused, while the rest of the document is fine. */
enum ist_json_refusal {
    IST_JSON_FINE,
    IST_JSON_TOO_LARGE, /* Over 'element_max': 'bytes' and picks are absent. */
    IST_JSON_AMBIGUOUS, /* A member on the way to a pick came twice. */
};

struct ist_json_element {
    enum ist_json_refusal refusal;
    struct ist_json_slice bytes;
    struct ist_json_slice picks[IST_JSON_PATHS_MAX]; /* As in 'want'. */
};

/* Called for each element, in order. All slices are gone when it returns.
 * Non-zero stops the scan: it becomes the result of the feed. */
typedef int ist_json_element_fn(void *arg, const struct ist_json_element *);

/* What to look for. Borrowed, with all it points to, until _fini(). A path is
 * made of member names joined by dots, or, where names have dots themselves,
 * by slashes, with one in front: "/oslo.message".
 * No sibling may lie within the collection or within another sibling. */
struct ist_json_want {
    /* Path from the root to an array, whose elements are handed out, or to an
     * object, which is handed out alone. "": the root itself. NULL: none,
     * only check the document. */
    const char *collection;
    const char *const *picks; /* Paths from the element. */
    size_t n_picks;
    const char *const *siblings; /* Paths from the root. */
    size_t n_siblings;
    size_t element_max;  /* Bytes of one element. */
    size_t siblings_max; /* Bytes of all siblings together. */
};

struct ist_json_path {
    const char *text;
    uint8_t n_parts;
    uint8_t at[IST_JSON_PARTS_MAX], len[IST_JSON_PARTS_MAX];
};

/* Paths that are looked for below one object, and how far each one is. Sets
 * of paths are bit masks, by level below that object. */
struct ist_json_match {
    struct ist_json_path paths[IST_JSON_PATHS_MAX];
    size_t n;
    uint64_t lens[IST_JSON_PARTS_MAX];  /* Lengths of parts that occur. */
    uint32_t live[IST_JSON_PARTS_MAX];  /* Looked for in this container. */
    uint32_t seen[IST_JSON_PARTS_MAX];  /* Found in this container. */
    uint32_t open[IST_JSON_PARTS_MAX];  /* Value begun, not ended. */
    uint64_t start[IST_JSON_PATHS_MAX]; /* Offset in the document. */
    uint64_t size[IST_JSON_PATHS_MAX];
    uint32_t whole; /* Begun and ended. */
};

struct ist_json_split {
    uint64_t n_elements;
    uint64_t error_at; /* Offset of the byte that made it fail. */
    int rc;            /* Sticky: 0, an outcome, or what the callback gave. */

    /* Private to the scanner. */
    const struct ist_json_want *want;
    ist_json_element_fn *fn;
    void *arg;
    struct ist_json_match root, element;
    unsigned state;
    unsigned depth;   /* Containers open. */
    uint64_t objects; /* Bit n: container n + 1 is an object. */
    unsigned base;    /* Depth of level 0 of the matching at work. */
    unsigned elem_at; /* Values at this depth are elements. */
    uint32_t pending; /* Paths whose value comes next. */
    uint32_t deeper;  /* Paths that go on in the value that comes next. */
    bool in_element, ambiguous, too_large, found, in_key, key_escaped;
    unsigned literal, literal_at;
    unsigned hex, hex_left;         /* Of a \u escape. */
    bool low_wanted;                /* The first half of a pair was read. */
    unsigned utf8_left, utf8_range; /* Of a character cut in two. */
    const char *chunk;              /* Of the feed at work; borrowed. */
    uint64_t offset;                /* Of 'chunk' in the document. */
    uint64_t elem_start, key_start;
    char key[IST_JSON_KEY_TEXT_MAX + 1]; /* Head of a key cut in two. */
    size_t key_len;
    struct ist_sb carry;        /* Head of an element cut in two. */
    struct ist_sb sibling_text; /* Siblings, end to end. */
    size_t sibling_at[IST_JSON_PATHS_MAX];
};

/* Asserts that 'want' keeps its limits. */
void ist_json_split_init(struct ist_json_split *, const struct ist_json_want *,
                         ist_json_element_fn *, void *arg);
void ist_json_split_fini(struct ist_json_split *);

/* Back to the start of a document; keeps the memory. */
void ist_json_split_reset(struct ist_json_split *);

/* The next bytes, borrowed for the call. Returns 's->rc'. */
int ist_json_split_feed(struct ist_json_split *, const void *data, size_t size);

/* There are no more bytes: was it a whole document with the collection? */
int ist_json_split_end(struct ist_json_split *);

/* A sibling by its place in 'want'; valid after its end, until _fini(). */
struct ist_json_slice ist_json_split_sibling(const struct ist_json_split *,
                                             size_t i);

/* A few words for an outcome of this module: "not JSON". Static. */
const char *ist_json_outcome_name(int rc);

/* --- Slices --- */

enum ist_json_type {
    IST_JSON_ABSENT,
    IST_JSON_NULL,
    IST_JSON_FALSE,
    IST_JSON_TRUE,
    IST_JSON_NUMBER,
    IST_JSON_STRING,
    IST_JSON_ARRAY,
    IST_JSON_OBJECT,
};

/* By its first byte: the slice must come from a scan. */
enum ist_json_type ist_json_type(struct ist_json_slice);

/* The characters of a string, escapes undone, as UTF-8, with a NUL behind.
 * False if the slice is no string, or if 'size' bytes do not hold it as it is
 * written, escapes included; a buffer of slice.size bytes always does.
 * 'ret_len' may be NULL only if the caller takes a NUL in the text for its
 * end. */
bool ist_json_text(struct ist_json_slice, char *buf, size_t size,
                   size_t *ret_len);

/* Does a media type begin as JSON's does, whatever its parameters? NULL: no. */
bool ist_json_is_type(const char *type, size_t len);

/* Is it a string of just these characters? */
bool ist_json_text_is(struct ist_json_slice, const char *text);

/* One member of a whole document or slice by its dotted path; absent when
 * there is none, or when the document is not sound. */
struct ist_json_slice ist_json_find(struct ist_json_slice, const char *path);

/* Calls 'fn' for each element of a whole array, with the picks asked for.
 * Returns as ist_json_split_end(). */
int ist_json_each(struct ist_json_slice, const char *const *picks,
                  size_t n_picks, ist_json_element_fn *fn, void *arg);

#endif
