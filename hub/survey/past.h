/* The past: what each site gave to a page, for when the same page is wanted
 * again. Portals and people watch a few lists, and look at them over and over;
 * a site that gave 60 rows to the last one is asked for about as many, and one
 * that gave none for a few.
 *
 * Only a guess: it decides how many rows come with the first answer, never
 * which rows are in the page. Where it is wrong, credit follows. Two questions
 * are told apart by a hash; a clash makes a bad guess. */
#ifndef SURVEY_PAST_H
#define SURVEY_PAST_H

#include <stddef.h>
#include <stdint.h>

#define PAST_PAGES 64 /* Kept; the one not asked for the longest time goes. */

struct past_page {
    uint64_t question, asked_at; /* Of struct past's count; 0: free. */
    uint32_t n_sites;
    uint32_t *taken; /* Owned: rows of each site. */
};

struct past {
    struct past_page pages[PAST_PAGES];
    uint64_t n_asked;
};

/* Zeroed is empty. */
void past_fini(struct past *);

/* Rows of each of the n sites, or NULL. Borrowed until the next note. */
const uint32_t *past_find(struct past *, uint64_t question, uint32_t n_sites);
/* Zeros to be filled in, in the place of what was there; NULL: no memory. */
uint32_t *past_note(struct past *, uint64_t question, uint32_t n_sites);

/* Hashes of questions: 'hash' and then these bytes. Begins with 0. */
uint64_t past_hash(uint64_t hash, const void *data, size_t size);

#endif
