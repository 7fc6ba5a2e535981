#include "survey/past.h"

#include <stdlib.h>
#include <string.h>

void past_fini(struct past *past)
{
    for (size_t i = 0; i < PAST_PAGES; i++)
        free(past->pages[i].taken);
    *past = (struct past){0};
}

static struct past_page *find(struct past *past, uint64_t question)
{
    for (size_t i = 0; i < PAST_PAGES; i++) {
        struct past_page *page = &past->pages[i];

        if (page->asked_at && page->question == question)
            return page;
    }
    return NULL;
}

static struct past_page *oldest(struct past *past)
{
    struct past_page *page = &past->pages[0];

    for (size_t i = 1; i < PAST_PAGES; i++) {
        if (past->pages[i].asked_at < page->asked_at)
            page = &past->pages[i];
    }
    return page;
}

const uint32_t *past_find(struct past *past, uint64_t question,
                          uint32_t n_sites)
{
    struct past_page *page = find(past, question);

    if (!page || page->n_sites != n_sites)
        return NULL;
    page->asked_at = ++past->n_asked;
    return page->taken;
}

uint32_t *past_note(struct past *past, uint64_t question, uint32_t n_sites)
{
    struct past_page *page = find(past, question);
    uint32_t *taken;

    if (!page)
        page = oldest(past);
    taken = page->taken && page->n_sites == n_sites
                ? memset(page->taken, 0, n_sites * sizeof(*taken))
                : calloc(n_sites, sizeof(*taken));
    if (taken != page->taken)
        free(page->taken);
    *page = (struct past_page){.question = question, .taken = taken};
    if (!taken)
        return NULL;
    page->asked_at = ++past->n_asked;
    page->n_sites = n_sites;
    return taken;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

/* The size goes first, so that it matters where one text ends. */
uint64_t past_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *at = data;

    hash = mix(hash, size + 1);
    while (size) {
        size_t n = size < sizeof(uint64_t) ? size : sizeof(uint64_t);
        uint64_t word = 0;

        memcpy(&word, at, n);
        hash = mix(hash, word);
        at += n;
        size -= n;
    }
    return hash;
}
