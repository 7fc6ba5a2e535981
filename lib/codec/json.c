/* One pass over the bytes, with a state that survives the end of a feed. Two
 * things go on at once:
 *
 * - Grammar. 'state' says what may come next; a bit stack says whether the
 *   innermost container is an object. Strings, where most bytes are, go 16
 *   bytes at a time.
 * - Matching. Only in the first levels below the root, and below an element,
 *   are member names looked at: sets of paths as bit masks, one mask for each
 *   level. Deeper or elsewhere a member costs nothing but its grammar.
 *
 * An element that lies within one feed is handed out where it is. Of one that
 * is cut, the head is kept in 'carry'; picks are offsets in the document, so
 * they do not care where the bytes are. */
#include "codec/json.h"

#include "base/err.h"
#include "base/utf8.h"
#include "codec/json_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NONE UINT32_MAX

enum state {
    VALUE,       /* A value must come. */
    FIRST_VALUE, /* A value, or the end of an empty array. */
    KEY,         /* A member name must come. */
    FIRST_KEY,   /* A member name, or the end of an empty object. */
    COLON,
    AFTER, /* A comma, or the end of the container. */
    STRING,
    ESCAPE,    /* After a backslash. */
    HEX,       /* Within \uXXXX. */
    LOW_SLASH, /* The second half of a pair must come: its backslash. */
    LOW_U,     /* And its 'u'. */
    UTF8,      /* Within a character. */
    LITERAL,
    NUMBER_MINUS, /* The numbers, see 'number_next'. */
    NUMBER_ZERO,
    NUMBER_INT,
    NUMBER_DOT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT,
    END, /* Only space may come. */
};

static const char *const literals[] = {"true", "false", "null"};

/* --- Paths --- */

static void path_init(struct ist_json_path *path, const char *text)
{
    const char *at = text;

    *path = (struct ist_json_path){.text = text};
    if (*text == '\0')
        return;
    for (;;) {
        size_t len = strcspn(at, ".");

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

static void match_add(struct ist_json_match *m, const char *text)
{
    struct ist_json_path *path = &m->paths[m->n];

    assert(m->n < IST_JSON_PATHS_MAX);
    path_init(path, text);
    for (size_t i = 0; i < path->n_parts; i++)
        m->lens[i] |= UINT64_C(1) << path->len[i];
    m->n++;
}

/* All paths that go through an object at level 0. */
static uint32_t match_all(const struct ist_json_match *m)
{
    uint32_t all = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (m->paths[i].n_parts)
            all |= UINT32_C(1) << i;
    }
    return all;
}

static struct ist_json_match *matching(struct ist_json_split *s)
{
    return s->in_element ? &s->element : &s->root;
}

/* --- Errors, positions --- */

static uint64_t offset_of(const struct ist_json_split *s, const char *p)
{
    return s->offset + (uint64_t) (p - s->chunk);
}

static int fail(struct ist_json_split *s, const char *p, int rc)
{
    if (s->rc == 0) {
        s->rc = rc;
        s->error_at = offset_of(s, p);
    }
    return s->rc;
}

/* --- Elements and siblings --- */

static void element_begin(struct ist_json_split *s, const char *p)
{
    s->in_element = true;
    s->ambiguous = s->too_large = false;
    s->elem_start = offset_of(s, p);
    s->base = s->depth + 1;
    s->element.whole = 0;
    s->pending = s->deeper = 0;
    ist_sb_reset(&s->carry);
}

/* The part of the element that lies in this chunk, up to 'p', goes behind
 * what is kept of it. */
static int element_keep(struct ist_json_split *s, const char *p)
{
    const char *from = s->chunk;

    if (s->too_large)
        return 0;
    if (s->elem_start > s->offset)
        from += s->elem_start - s->offset;
    ist_sb_add(&s->carry, from, (size_t) (p - from));
    if (s->carry.rc == -ENOMEM)
        return fail(s, p, -ENOMEM);
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

static int element_end(struct ist_json_split *s, const char *p)
{
    uint64_t size = offset_of(s, p) - s->elem_start;
    struct ist_json_element e;
    int rc;

    if (size > s->want->element_max)
        s->too_large = true;
    if (s->elem_start < s->offset && element_keep(s, p))
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
    return rc ? fail(s, p, rc) : 0;
}

static int sibling_keep(struct ist_json_split *s, uint64_t start, const char *p)
{
    const char *from = s->chunk;

    if (start > s->offset)
        from += start - s->offset;
    ist_sb_add(&s->sibling_text, from, (size_t) (p - from));
    if (s->sibling_text.rc == 0)
        return 0;
    return fail(s, p,
                s->sibling_text.rc == -ENOMEM ? -ENOMEM : IST_JSON_E_SIZE);
}

static int collection_begin(struct ist_json_split *s, const char *p)
{
    s->found = true;
    if (*p == '[') {
        s->elem_at = s->depth + 1;
    } else if (*p == '{') {
        s->elem_at = s->depth;
        element_begin(s, p);
    } else {
        return fail(s, p, IST_JSON_E_SHAPE);
    }
    return 0;
}

/* --- Matching --- */

/* Called for a value that somebody wants to know about. */
static int wanted_begin(struct ist_json_split *s, const char *p)
{
    struct ist_json_match *m = matching(s);
    unsigned level = s->depth - s->base;
    uint32_t mask = s->pending;

    s->pending = 0;
    if (s->depth == s->elem_at && !s->in_element) {
        element_begin(s, p);
        return 0;
    }
    if (!s->in_element && (mask & 1))
        return collection_begin(s, p);
    m->open[level] = mask;
    for (; mask; mask &= mask - 1) {
        int i = __builtin_ctz(mask);

        m->start[i] = offset_of(s, p);
        if (!s->in_element)
            s->sibling_at[i] = s->sibling_text.len;
    }
    return 0;
}

static int wanted_end(struct ist_json_split *s, const char *p, unsigned level)
{
    struct ist_json_match *m = matching(s);
    uint32_t mask = m->open[level];

    m->open[level] = 0;
    m->whole |= mask;
    for (; mask; mask &= mask - 1) {
        int i = __builtin_ctz(mask);

        m->size[i] = offset_of(s, p) - m->start[i];
        if (!s->in_element && sibling_keep(s, m->start[i], p))
            return s->rc;
    }
    return 0;
}

/* A member name where names are looked at. */
static int key_found(struct ist_json_split *s, const char *p, const char *text,
                     size_t len)
{
    struct ist_json_match *m = matching(s);
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
                return fail(s, p, IST_JSON_E_TWICE);
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
static void key_keep(struct ist_json_split *s, const char *from,
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

static inline bool keys_matter(struct ist_json_split *s)
{
    unsigned level = s->depth - s->base;

    return level < IST_JSON_PARTS_MAX && matching(s)->live[level];
}

/* --- Grammar --- */

static inline int value_begin(struct ist_json_split *s, const char *p)
{
    if (s->pending || (s->depth == s->elem_at && !s->in_element))
        return wanted_begin(s, p);
    return 0;
}

/* 'p' is behind the value. */
static inline int value_end(struct ist_json_split *s, const char *p)
{
    unsigned level = s->depth - s->base;

    s->deeper = 0;
    if (level < IST_JSON_PARTS_MAX && matching(s)->open[level] &&
        wanted_end(s, p, level))
        return s->rc;
    if (s->depth == s->elem_at && s->in_element)
        return element_end(s, p);
    return 0;
}

static inline unsigned state_after(const struct ist_json_split *s)
{
    return s->depth ? AFTER : END;
}

static int push(struct ist_json_split *s, const char *p, bool object)
{
    struct ist_json_match *m;
    unsigned level;

    if (s->depth == IST_JSON_DEPTH_MAX)
        return fail(s, p, IST_JSON_E_DEPTH);
    if (object)
        s->objects |= UINT64_C(1) << s->depth;
    else
        s->objects &= ~(UINT64_C(1) << s->depth);
    s->depth++;
    m = matching(s);
    level = s->depth - s->base;
    if (level < IST_JSON_PARTS_MAX) {
        uint32_t live = level ? s->deeper : match_all(m);

        m->live[level] = object ? live : 0;
        m->seen[level] = m->open[level] = 0;
    }
    s->deeper = 0;
    return 0;
}

static inline bool in_object(const struct ist_json_split *s)
{
    return s->objects >> (s->depth - 1) & 1;
}

/* 'p' is behind the bracket. */
static int pop(struct ist_json_split *s, const char *p)
{
    s->depth--;
    if (!s->in_element && s->depth + 1 == s->elem_at)
        s->elem_at = NONE;
    return value_end(s, p);
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* To the first byte that is not plain in a string: a quote, a backslash, a
 * control character, or a part of a longer character. */
static inline const char *skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');

    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *) (const void *) p);
        /* Signed: bytes of 0x80 and more are less than a space too. */
        __m128i stop = _mm_or_si128(
            _mm_cmplt_epi8(v, space),
            _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
        int mask = _mm_movemask_epi8(stop);

        if (mask)
            return p + __builtin_ctz((unsigned) mask);
        p += 16;
    }
#endif
    while (p < end && (unsigned char) *p >= 0x20 && (unsigned char) *p < 0x80 &&
           *p != '"' && *p != '\\')
        p++;
    return p;
}

/* The first byte of a longer character: how many follow, and the range of
 * the next one, low byte first. RFC 3629, section 4. */
static bool utf8_lead(struct ist_json_split *s, unsigned char c)
{
    unsigned low = 0x80, high = 0xBF;

    if (c >= 0xC2 && c <= 0xDF) {
        s->utf8_left = 1;
    } else if (c >= 0xE0 && c <= 0xEF) {
        s->utf8_left = 2;
        low = c == 0xE0 ? 0xA0 : low;
        high = c == 0xED ? 0x9F : high;
    } else if (c >= 0xF0 && c <= 0xF4) {
        s->utf8_left = 3;
        low = c == 0xF0 ? 0x90 : low;
        high = c == 0xF4 ? 0x8F : high;
    } else {
        return false;
    }
    s->utf8_range = high << 8 | low;
    return true;
}

static bool utf8_next(struct ist_json_split *s, unsigned char c)
{
    if (c < (s->utf8_range & 0xFF) || c > s->utf8_range >> 8)
        return false;
    s->utf8_range = 0xBF80;
    s->utf8_left--;
    return true;
}

/* Within a string, to the first byte that needs another state, which is
 * returned in '*state'; STRING when the chunk is at its end. */
static inline const char *string(struct ist_json_split *s, const char *p,
                                 const char *end, unsigned *state)
{
    for (;;) {
        p = skip_plain(p, end);
        if (p == end)
            return p;
        if ((unsigned char) *p < 0x80)
            break;

        size_t n = ist_utf8_len(p, (size_t) (end - p));

        if (n == 0) {
            if (!utf8_lead(s, (unsigned char) *p))
                fail(s, p, IST_JSON_E_SYNTAX);
            *state = UTF8;
            return p + 1;
        }
        p += n;
    }
    if (*p == '\\') {
        s->key_escaped = true;
        *state = ESCAPE;
    } else if (*p != '"') {
        fail(s, p, IST_JSON_E_SYNTAX);
    } else if (!s->in_key) {
        *state = state_after(s);
        value_end(s, p + 1);
    } else {
        *state = COLON;
        if (!keys_matter(s))
            return p + 1;
        if (s->key_start >= s->offset) {
            const char *text = s->chunk + (s->key_start - s->offset);

            key_found(s, p, text, (size_t) (p - text));
        } else {
            key_keep(s, s->chunk, p);
            key_found(s, p, s->key, s->key_len);
        }
    }
    return p + 1;
}

static bool escape(struct ist_json_split *s, char c, unsigned *state)
{
    *state = STRING;
    if (c == 'u') {
        s->hex = 0;
        s->hex_left = 4;
        *state = HEX;
        return true;
    }
    return c != '\0' && strchr("\"\\/bfnrt", c);
}

static bool hex(struct ist_json_split *s, char c, unsigned *state)
{
    int value = ist_json_hex_value(c);
    bool high, low;

    if (value < 0)
        return false;
    s->hex = s->hex << 4 | (unsigned) value;
    if (--s->hex_left)
        return true;
    high = s->hex >= 0xD800 && s->hex < 0xDC00;
    low = s->hex >= 0xDC00 && s->hex < 0xE000;
    if (low != s->low_wanted)
        return false;
    s->low_wanted = high;
    *state = high ? LOW_SLASH : STRING;
    return true;
}

/* The grammar of numbers, RFC 8259, section 6. 0: no such transition. */
static const unsigned char number_next[][6] = {
    /*                            0            1-9          -   +   .   e */
    [NUMBER_MINUS - NUMBER_MINUS] = {NUMBER_ZERO, NUMBER_INT},
    [NUMBER_ZERO - NUMBER_MINUS] = {0, 0, 0, 0, NUMBER_DOT, NUMBER_E},
    [NUMBER_INT -
        NUMBER_MINUS] = {NUMBER_INT, NUMBER_INT, 0, 0, NUMBER_DOT, NUMBER_E},
    [NUMBER_DOT - NUMBER_MINUS] = {NUMBER_FRACTION, NUMBER_FRACTION},
    [NUMBER_FRACTION -
        NUMBER_MINUS] = {NUMBER_FRACTION, NUMBER_FRACTION, 0, 0, 0, NUMBER_E},
    [NUMBER_E - NUMBER_MINUS] = {NUMBER_EXPONENT, NUMBER_EXPONENT, NUMBER_SIGN,
                                 NUMBER_SIGN},
    [NUMBER_SIGN - NUMBER_MINUS] = {NUMBER_EXPONENT, NUMBER_EXPONENT},
    [NUMBER_EXPONENT - NUMBER_MINUS] = {NUMBER_EXPONENT, NUMBER_EXPONENT},
};

static int number_class(char c)
{
    if (c == '0')
        return 0;
    if (c >= '1' && c <= '9')
        return 1;
    switch (c) {
    case '-':
        return 2;
    case '+':
        return 3;
    case '.':
        return 4;
    case 'e':
    case 'E':
        return 5;
    default:
        return -1;
    }
}

static bool number_whole(unsigned state)
{
    return state == NUMBER_ZERO || state == NUMBER_INT ||
           state == NUMBER_FRACTION || state == NUMBER_EXPONENT;
}

static const char *number(struct ist_json_split *s, const char *p,
                          const char *end, unsigned *state)
{
    for (; p < end; p++) {
        int class = number_class(*p);
        unsigned next =
            class < 0 ? 0 : number_next[*state - NUMBER_MINUS][class];

        if (next) {
            *state = next;
            continue;
        }
        if (class >= 0 || !number_whole(*state)) {
            fail(s, p, IST_JSON_E_SYNTAX);
            return p;
        }
        *state = state_after(s);
        value_end(s, p);
        return p;
    }
    return p;
}

static const char *literal(struct ist_json_split *s, const char *p,
                           const char *end, unsigned *state)
{
    const char *word = literals[s->literal];

    for (; p < end && word[s->literal_at]; p++, s->literal_at++) {
        if (*p != word[s->literal_at]) {
            fail(s, p, IST_JSON_E_SYNTAX);
            return p;
        }
    }
    if (word[s->literal_at] == '\0') {
        *state = state_after(s);
        value_end(s, p);
    }
    return p;
}

static const char *container(struct ist_json_split *s, const char *p,
                             unsigned *state)
{
    bool object = *p == '{';

    if (value_begin(s, p) == 0 && push(s, p, object) == 0)
        *state = object ? FIRST_KEY : FIRST_VALUE;
    return p + 1;
}

/* The first byte of a value, or of what comes in its place. */
static const char *value(struct ist_json_split *s, const char *p,
                         unsigned *state)
{
    switch (*p) {
    case '"':
        s->in_key = false;
        value_begin(s, p);
        *state = STRING;
        return p + 1;
    case '{':
    case '[':
        return container(s, p, state);
    case ']':
        if (*state == FIRST_VALUE) {
            pop(s, p + 1);
            *state = state_after(s);
            return p + 1;
        }
        break;
    case 't':
    case 'f':
    case 'n':
        s->literal = *p == 't' ? 0 : *p == 'f' ? 1 : 2;
        s->literal_at = 1;
        value_begin(s, p);
        *state = LITERAL;
        return p + 1;
    case '-':
        value_begin(s, p);
        *state = NUMBER_MINUS;
        return p + 1;
    default:
        if (*p < '0' || *p > '9')
            break;
        value_begin(s, p);
        *state = *p == '0' ? NUMBER_ZERO : NUMBER_INT;
        return p + 1;
    }
    fail(s, p, IST_JSON_E_SYNTAX);
    return p;
}

static const char *key(struct ist_json_split *s, const char *p, unsigned *state)
{
    if (*p == '"') {
        s->in_key = true;
        s->key_escaped = false;
        s->key_start = offset_of(s, p + 1);
        s->key_len = 0;
        *state = STRING;
    } else if (*p == '}' && *state == FIRST_KEY) {
        pop(s, p + 1);
        *state = state_after(s);
    } else {
        fail(s, p, IST_JSON_E_SYNTAX);
    }
    return p + 1;
}

static const char *after(struct ist_json_split *s, const char *p,
                         unsigned *state)
{
    bool object = in_object(s);

    if (*p == ',') {
        *state = object ? KEY : VALUE;
    } else if (*p == (object ? '}' : ']')) {
        pop(s, p + 1);
        *state = state_after(s);
    } else {
        fail(s, p, IST_JSON_E_SYNTAX);
    }
    return p + 1;
}

/* States of one byte. */
static bool one_byte(struct ist_json_split *s, char c, unsigned *state)
{
    switch (*state) {
    case COLON:
        *state = VALUE;
        return c == ':';
    case ESCAPE:
        return escape(s, c, state);
    case HEX:
        return hex(s, c, state);
    case LOW_SLASH:
        *state = LOW_U;
        return c == '\\';
    case LOW_U:
        s->hex = 0;
        s->hex_left = 4;
        *state = HEX;
        return c == 'u';
    case UTF8:
        if (!utf8_next(s, (unsigned char) c))
            return false;
        *state = s->utf8_left ? UTF8 : STRING;
        return true;
    default: /* END: space has been skipped. */
        return false;
    }
}

static void scan(struct ist_json_split *s, const char *p, const char *end)
{
    unsigned state = s->state;

    while (p < end && s->rc == 0) {
        if (state <= AFTER || state == END) {
            p = skip_space(p, end);
            if (p == end)
                break;
        }
        switch (state) {
        case VALUE:
        case FIRST_VALUE:
            p = value(s, p, &state);
            break;
        case KEY:
        case FIRST_KEY:
            p = key(s, p, &state);
            break;
        case AFTER:
            p = after(s, p, &state);
            break;
        case STRING:
            p = string(s, p, end, &state);
            break;
        case LITERAL:
            p = literal(s, p, end, &state);
            break;
        case COLON:
        case ESCAPE:
        case HEX:
        case LOW_SLASH:
        case LOW_U:
        case UTF8:
        case END:
            if (!one_byte(s, *p, &state))
                fail(s, p, IST_JSON_E_SYNTAX);
            p++;
            break;
        default:
            p = number(s, p, end, &state);
            break;
        }
    }
    s->state = state;
}

/* --- The public face --- */

static bool within_string(unsigned state)
{
    return state >= STRING && state <= UTF8;
}

/* What of this chunk will still be needed. */
static void keep(struct ist_json_split *s, const char *end)
{
    if (s->in_element)
        element_keep(s, end);
    for (unsigned level = 0; level < IST_JSON_PARTS_MAX; level++) {
        if (!s->in_element && level < s->depth && s->root.open[level])
            sibling_keep(s, s->root.start[__builtin_ctz(s->root.open[level])],
                         end);
    }
    if (s->in_key && within_string(s->state) && keys_matter(s)) {
        const char *from = s->chunk;

        if (s->key_start > s->offset)
            from += s->key_start - s->offset;
        key_keep(s, from, end);
    }
}

int ist_json_split_feed(struct ist_json_split *s, const void *data, size_t size)
{
    if (s->rc || size == 0)
        return s->rc;
    s->chunk = data;
    scan(s, s->chunk, s->chunk + size);
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
    /* A number is the only value whose end is the end of the text. */
    s->chunk = "";
    if (s->depth == 0 && number_whole(s->state)) {
        s->state = END;
        value_end(s, s->chunk);
    }
    if (s->state != END)
        return fail(s, s->chunk, IST_JSON_E_TRUNCATED);
    if (s->want->collection && !s->found)
        return fail(s, s->chunk, IST_JSON_E_ABSENT);
    return s->rc;
}

void ist_json_split_reset(struct ist_json_split *s)
{
    s->n_elements = s->error_at = s->offset = 0;
    s->rc = 0;
    s->state = VALUE;
    s->depth = 0;
    s->objects = 0;
    s->base = 1;
    s->elem_at = NONE;
    s->in_element = s->found = s->in_key = s->low_wanted = false;
    s->key_len = 0;
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
    match_add(&s->root, want->collection ? want->collection : "");
    for (size_t i = 0; i < want->n_siblings; i++)
        match_add(&s->root, want->siblings[i]);
    for (size_t i = 0; i < want->n_picks; i++)
        match_add(&s->element, want->picks[i]);
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
