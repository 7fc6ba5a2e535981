/* What the files of the scanner share. Grammar (json_scan.c) says which bytes
 * may come; where a member may matter it asks the matching (json_match.c),
 * which knows the paths; json_element.c keeps and hands out what they found. */
#ifndef CODEC_JSON_PRIV_H
#define CODEC_JSON_PRIV_H

#include "codec/json.h"

#define IST_JSON_NONE UINT32_MAX

static inline struct ist_json_match *ist_json_matching(struct ist_json_split *s)
{
    return s->in_element ? &s->element : &s->root;
}

static inline uint64_t ist_json_offset_of(const struct ist_json_split *s,
                                          const char *p)
{
    return s->offset + (uint64_t) (p - s->chunk);
}

/* Notes the first failure, found at 'p'. Returns s->rc. */
static inline int ist_json_fail(struct ist_json_split *s, const char *p, int rc)
{
    if (s->rc == 0) {
        s->rc = rc;
        s->error_at = ist_json_offset_of(s, p);
    }
    return s->rc;
}

/* ---- json_text.c */

/* 0 to 15; -1: no hex digit. */
int ist_json_hex_value(char c);

/* Undoes the escapes of checked text, given without its quotes. Never longer
 * than it was: the shortest escape has two bytes for one, \uXXXX six for at
 * most three. Returns the length; writes no NUL. */
size_t ist_json_unescape(const char *text, size_t len, char *buf);

/* ---- json_element.c: all take the place at work, and return s->rc. */

void ist_json_element_begin(struct ist_json_split *, const char *p);
/* 'p' is behind it. */
int ist_json_element_end(struct ist_json_split *, const char *p);
/* The part of it that lies in this chunk, up to 'p', goes behind what is kept
 * of it. */
int ist_json_element_keep(struct ist_json_split *, const char *p);

int ist_json_collection_begin(struct ist_json_split *, const char *p);
/* As ist_json_element_keep(), of a sibling that began at 'start'. */
int ist_json_sibling_keep(struct ist_json_split *, uint64_t start,
                          const char *p);

/* ---- json_match.c */

void ist_json_match_add(struct ist_json_match *, const char *text);
/* All paths that go through an object at level 0. */
uint32_t ist_json_match_all(const struct ist_json_match *);

/* A value begins that somebody wants to know about. */
int ist_json_wanted_begin(struct ist_json_split *, const char *p);
/* 'p' is behind the value. */
int ist_json_wanted_end(struct ist_json_split *, const char *p, unsigned level);

/* A member name where names are looked at. */
int ist_json_key_found(struct ist_json_split *, const char *p, const char *text,
                       size_t len);
/* The head of a name cut in two. One too long to matter is remembered as one
 * byte over the limit. */
void ist_json_key_keep(struct ist_json_split *, const char *from,
                       const char *end);

static inline bool ist_json_keys_matter(struct ist_json_split *s)
{
    unsigned level = s->depth - s->base;

    return level < IST_JSON_PARTS_MAX && ist_json_matching(s)->live[level];
}

/* ---- json_scan.c */

void ist_json_scan_reset(struct ist_json_split *);
/* The bytes from 'p' to 'end', of s->chunk; what happened is in s->rc. */
void ist_json_scan(struct ist_json_split *, const char *p, const char *end);
/* There are no more: was it a whole document? */
bool ist_json_scan_end(struct ist_json_split *);
/* Is the place at work within a string? */
bool ist_json_scan_in_string(const struct ist_json_split *);

#endif
