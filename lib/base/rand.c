#include "base/rand.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool planted;
    uint64_t s[4];
} source;

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** 1.0, Blackman and Vigna, public domain. */
static uint64_t next(void)
{
    uint64_t *s = source.s;
    const uint64_t result = rotl(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

void ist_rand_plant(uint64_t seed)
{
    source.planted = true;
    /* splitmix64 fills the state, as the authors advise. */
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9E3779B97F4A7C15U);

        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        source.s[i] = z ^ (z >> 31);
    }
}

void ist_rand_unplant(void)
{
    source.planted = false;
}

void ist_rand_bytes(void *buf, size_t size)
{
    unsigned char *out = buf;

    if (!source.planted) {
        arc4random_buf(buf, size);
        return;
    }
    while (size) {
        uint64_t word = next();
        size_t n = size < sizeof(word) ? size : sizeof(word);

        memcpy(out, &word, n);
        out += n;
        size -= n;
    }
}

uint64_t ist_rand_below(uint64_t bound)
{
    uint64_t word, limit;

    if (bound == 0)
        return 0;
    limit = UINT64_MAX - UINT64_MAX % bound;
    do {
        ist_rand_bytes(&word, sizeof(word));
    } while (word >= limit);
    return word % bound;
}
