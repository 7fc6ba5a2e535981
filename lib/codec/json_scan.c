/* Grammar: 'state' says what may come next; a bit stack says whether the
 * innermost container is an object. Strings, where most bytes are, go 16 bytes
 * at a time. */
#include "base/utf8.h"
#include "codec/json_priv.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

/* Most values are of no interest to anybody, and should cost a comparison and
 * no more. */
static inline int value_begin(struct ist_json_split *s, const char *p)
{
    if (s->pending || (s->depth == s->elem_at && !s->in_element))
        return ist_json_wanted_begin(s, p);
    return 0;
}

/* 'p' is behind the value. */
static inline int value_end(struct ist_json_split *s, const char *p)
{
    unsigned level = s->depth - s->base;

    s->deeper = 0;
    if (level < IST_JSON_PARTS_MAX && ist_json_matching(s)->open[level] &&
        ist_json_wanted_end(s, p, level))
        return s->rc;
    if (s->depth == s->elem_at && s->in_element)
        return ist_json_element_end(s, p);
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
        return ist_json_fail(s, p, IST_JSON_E_DEPTH);
    if (object)
        s->objects |= UINT64_C(1) << s->depth;
    else
        s->objects &= ~(UINT64_C(1) << s->depth);
    s->depth++;
    m = ist_json_matching(s);
    level = s->depth - s->base;
    if (level < IST_JSON_PARTS_MAX) {
        uint32_t live = level ? s->deeper : ist_json_match_all(m);

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
        s->elem_at = IST_JSON_NONE;
    return value_end(s, p);
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* ---- strings */

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
                ist_json_fail(s, p, IST_JSON_E_SYNTAX);
            *state = UTF8;
            return p + 1;
        }
        p += n;
    }
    if (*p == '\\') {
        s->key_escaped = true;
        *state = ESCAPE;
    } else if (*p != '"') {
        ist_json_fail(s, p, IST_JSON_E_SYNTAX);
    } else if (!s->in_key) {
        *state = state_after(s);
        value_end(s, p + 1);
    } else {
        *state = COLON;
        if (!ist_json_keys_matter(s))
            return p + 1;
        if (s->key_start >= s->offset) {
            const char *text = s->chunk + (s->key_start - s->offset);

            ist_json_key_found(s, p, text, (size_t) (p - text));
        } else {
            ist_json_key_keep(s, s->chunk, p);
            ist_json_key_found(s, p, s->key, s->key_len);
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

/* ---- numbers and literals */

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
            ist_json_fail(s, p, IST_JSON_E_SYNTAX);
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
            ist_json_fail(s, p, IST_JSON_E_SYNTAX);
            return p;
        }
    }
    if (word[s->literal_at] == '\0') {
        *state = state_after(s);
        value_end(s, p);
    }
    return p;
}

/* ---- containers, and what stands between values */

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
    ist_json_fail(s, p, IST_JSON_E_SYNTAX);
    return p;
}

static const char *key(struct ist_json_split *s, const char *p, unsigned *state)
{
    if (*p == '"') {
        s->in_key = true;
        s->key_escaped = false;
        s->key_start = ist_json_offset_of(s, p + 1);
        s->key_len = 0;
        *state = STRING;
    } else if (*p == '}' && *state == FIRST_KEY) {
        pop(s, p + 1);
        *state = state_after(s);
    } else {
        ist_json_fail(s, p, IST_JSON_E_SYNTAX);
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
        ist_json_fail(s, p, IST_JSON_E_SYNTAX);
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

void ist_json_scan(struct ist_json_split *s, const char *p, const char *end)
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
                ist_json_fail(s, p, IST_JSON_E_SYNTAX);
            p++;
            break;
        default:
            p = number(s, p, end, &state);
            break;
        }
    }
    s->state = state;
}

void ist_json_scan_reset(struct ist_json_split *s)
{
    s->state = VALUE;
    s->low_wanted = false;
}

bool ist_json_scan_end(struct ist_json_split *s)
{
    /* A number is the only value whose end is the end of the text. */
    if (s->depth == 0 && number_whole(s->state)) {
        s->state = END;
        value_end(s, s->chunk);
    }
    return s->state == END;
}

bool ist_json_scan_in_string(const struct ist_json_split *s)
{
    return s->state >= STRING && s->state <= UTF8;
}
