#include "codec/seal.h"

#include "../identity.h"
#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW  1800000000000ULL
#define SKEW 30000

struct pair {
    struct ist_self hub, site;
    struct ist_peer to_site, to_hub; /* The hub's, the site's. */
    struct ist_arena arena;
    struct ist_sb wire;
    struct ist_letter got;
    struct ist_peer *from;
};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    identity_make(&p->hub, IST_ROLE_HUB, 7);
    identity_make(&p->site, IST_ROLE_SITE, 9);
    p->to_site = identity_peer(&p->site, &p->hub);
    p->to_hub = identity_peer(&p->hub, &p->site);
    ist_arena_init(&p->arena, 64 * 1024 * 1024);
    ist_sb_init(&p->wire, 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    ist_arena_fini(&p->arena);
    ist_sb_fini(&p->wire);
    free(p);
    return 0;
}

static struct ist_peer *find(void *arg, const uint8_t id[16])
{
    struct ist_peer *peer = arg;

    return memcmp(peer->id_in, id, 16) == 0 ? peer : NULL;
}

static struct ist_letter letter_of(enum ist_letter_kind kind, const void *body,
                                   size_t size)
{
    return (struct ist_letter){.kind = kind,
                               .body = body,
                               .body_size = size,
                               .expires_ms = NOW + 5000};
}

static void seal_to_site(struct pair *p, struct ist_letter letter)
{
    ist_sb_reset(&p->wire);
    assert_int_equal(ist_seal(&p->hub, &p->to_site, NOW, &letter, &p->wire), 0);
}

static int open_at_site(struct pair *p, uint64_t now)
{
    return ist_open(&p->site, find, &p->to_hub, now, SKEW, p->wire.data,
                    p->wire.len, &p->arena, &p->got, &p->from);
}

static struct ist_letter query(struct pair *p)
{
    struct ist_letter letter = letter_of(IST_KIND_QUERY, "hello", 5);

    letter.audience_epoch = p->site.epoch;
    return letter;
}

static void test_round_trip(void **state)
{
    struct pair *p = *state;
    struct ist_letter sent = query(p);

    assert_int_equal(ist_seal(&p->hub, &p->to_site, NOW, &sent, &p->wire), 0);
    assert_int_equal(open_at_site(p, NOW), 0);
    assert_int_equal(p->got.kind, IST_KIND_QUERY);
    assert_int_equal(p->got.body_size, 5);
    assert_memory_equal(p->got.body, "hello", 5);
    assert_memory_equal(p->got.hash, sent.hash, 32);
    assert_int_equal(p->got.epoch, 7);
    assert_ptr_equal(p->from, &p->to_hub);
    assert_true(p->wire.len <= 5 + IST_SEAL_OVERHEAD);
}

static void test_large_body_is_compressed(void **state)
{
    struct pair *p = *state;
    struct ist_letter letter = query(p);
    char *body = malloc(IST_SEAL_BODY_MAX);

    memset(body, 'x', IST_SEAL_BODY_MAX);
    letter.body = body;
    letter.body_size = IST_SEAL_BODY_MAX;
    seal_to_site(p, letter);
    assert_true(p->wire.len < 10000);
    assert_int_equal(open_at_site(p, NOW), 0);
    assert_int_equal(p->got.body_size, IST_SEAL_BODY_MAX);
    assert_memory_equal(p->got.body, body, IST_SEAL_BODY_MAX);

    ist_seal_trim(); /* What was kept is made anew. */
    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW), 0);
    assert_memory_equal(p->got.body, body, IST_SEAL_BODY_MAX);

    ist_rand_bytes(body, IST_SEAL_BODY_MAX);
    seal_to_site(p, letter);
    assert_true(p->wire.len > IST_SEAL_BODY_MAX);
    assert_int_equal(open_at_site(p, NOW), 0);
    letter.body_size = IST_SEAL_BODY_MAX + 1;
    assert_int_equal(ist_seal(&p->hub, &p->to_site, NOW, &letter, &p->wire),
                     -EMSGSIZE);
    free(body);
}

/* What one body leaves behind in the compressor is nothing to the next. */
static void test_bodies_of_all_sizes_in_a_row(void **state)
{
    static const size_t sizes[] = {
        5000, IST_SEAL_BODY_MAX, 4097, 300000, 5000, 4096, 900000};
    struct pair *p = *state;
    struct ist_letter letter = query(p);
    char *body = malloc(IST_SEAL_BODY_MAX);

    for (size_t i = 0; i < IST_COUNT(sizes); i++) {
        for (size_t at = 0; at < sizes[i]; at++)
            body[at] = (char) ('a' + (at * (i + 7) >> 5) % 26);
        letter.body = body;
        letter.body_size = sizes[i];
        seal_to_site(p, letter);
        p->wire.data[p->wire.len - 1] ^= 1;
        assert_int_equal(open_at_site(p, NOW), IST_SEAL_FORGED);
        p->wire.data[p->wire.len - 1] ^= 1;
        assert_int_equal(open_at_site(p, NOW), 0);
        assert_int_equal(p->got.body_size, sizes[i]);
        assert_memory_equal(p->got.body, body, sizes[i]);
        ist_arena_reset(&p->arena);
    }
    free(body);
}

static void test_every_flipped_bit_is_refused(void **state)
{
    struct pair *p = *state;

    seal_to_site(p, query(p));
    for (size_t bit = 0; bit < p->wire.len * 8; bit++) {
        char mask = (char) (1 << (bit % 8));

        p->wire.data[bit / 8] = (char) (p->wire.data[bit / 8] ^ mask);
        assert_true(open_at_site(p, NOW) > 0);
        p->wire.data[bit / 8] = (char) (p->wire.data[bit / 8] ^ mask);
        ist_arena_reset(&p->arena);
    }
    assert_int_equal(open_at_site(p, NOW), 0);
}

static void test_every_truncation_is_refused(void **state)
{
    struct pair *p = *state;
    size_t len;

    seal_to_site(p, query(p));
    len = p->wire.len;
    for (p->wire.len = 0; p->wire.len < len; p->wire.len++) {
        assert_true(open_at_site(p, NOW) > 0);
        ist_arena_reset(&p->arena);
    }
    assert_int_equal(open_at_site(p, NOW), 0);
}

static void test_replay_is_refused(void **state)
{
    struct pair *p = *state;

    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), 0);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_REPLAY);
}

static void test_overtaking_within_the_window(void **state)
{
    struct pair *p = *state;
    struct ist_sb first;

    seal_to_site(p, query(p));
    first = p->wire;
    ist_sb_init(&p->wire, 0);
    for (int i = 0; i < 100; i++) {
        seal_to_site(p, query(p));
        assert_int_equal(open_at_site(p, NOW), 0);
    }
    ist_sb_fini(&p->wire);
    p->wire = first;
    assert_int_equal(open_at_site(p, NOW), 0);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_REPLAY);
}

static void test_far_behind_the_window(void **state)
{
    struct pair *p = *state;
    struct ist_sb first;

    seal_to_site(p, query(p));
    first = p->wire;
    ist_sb_init(&p->wire, 0);
    p->to_site.sequence_out += IST_SEAL_WINDOW;
    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), 0);
    ist_sb_fini(&p->wire);
    p->wire = first;
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_REPLAY);
    p->to_site.sequence_out = 1ULL << 63;
    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_REPLAY);
}

static void test_query_for_another_life_of_the_site(void **state)
{
    struct pair *p = *state;

    seal_to_site(p, query(p));
    p->site.epoch++; /* It restarted, and its window is empty. */
    memset(p->to_hub.window, 0, sizeof(p->to_hub.window));
    p->to_hub.sequence_high = p->to_hub.epoch = 0;
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_EPOCH);
}

static void test_older_sender_is_refused(void **state)
{
    struct pair *p = *state;

    p->to_hub.epoch = 8;
    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_EPOCH);
}

static void test_newer_sender_begins_a_window(void **state)
{
    struct pair *p = *state;

    p->to_site.sequence_out = 5000;
    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), 0);
    p->hub.epoch++;
    p->to_site.sequence_out = 0;
    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), 0);
    assert_int_equal(p->to_hub.epoch, 8);
    assert_int_equal(p->to_hub.sequence_high, 1);
}

static void test_times(void **state)
{
    struct pair *p = *state;
    struct ist_letter letter = query(p);

    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW + 5001 + SKEW), IST_SEAL_EXPIRED);
    assert_int_equal(open_at_site(p, NOW - 1 - SKEW), IST_SEAL_EXPIRED);
    assert_int_equal(open_at_site(p, NOW + 5000 + SKEW), 0);
    letter.expires_ms = NOW + 60001;
    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_EXPIRED);
    letter.expires_ms = NOW - 1;
    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_EXPIRED);
    letter.expires_ms = UINT64_MAX;
    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_EXPIRED);
}

static void test_delegation_bounds(void **state)
{
    struct pair *p = *state;

    p->to_hub.not_after_ms = NOW - SKEW - 1;
    seal_to_site(p, query(p));
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_SENDER);
    p->to_hub.not_after_ms = NOW;
    p->to_hub.kinds = ~(1U << IST_KIND_QUERY);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_KIND);
    p->to_hub.kinds = 1U << IST_KIND_QUERY;
    assert_int_equal(open_at_site(p, NOW), 0);
}

static void test_roles(void **state)
{
    struct pair *p = *state;

    seal_to_site(p, letter_of(IST_KIND_EVENT, "e", 1)); /* Not a hub's. */
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_KIND);
}

static void test_own_message_reflected(void **state)
{
    struct pair *p = *state;

    seal_to_site(p, query(p));
    assert_int_equal(ist_open(&p->hub, find, &p->to_site, NOW, SKEW,
                              p->wire.data, p->wire.len, &p->arena, &p->got,
                              &p->from),
                     IST_SEAL_UNKNOWN);
    /* Even if the broker rewrites the pair key id: the shared key opens it,
     * but the audience is somebody else. */
    memcpy(p->wire.data + 12, p->to_site.id_in, 16);
    p->to_site.role = IST_ROLE_HUB;
    assert_int_equal(ist_open(&p->hub, find, &p->to_site, NOW, SKEW,
                              p->wire.data, p->wire.len, &p->arena, &p->got,
                              &p->from),
                     IST_SEAL_AUDIENCE);
}

static void test_command_is_signed(void **state)
{
    struct pair *p = *state;
    struct ist_letter letter = letter_of(IST_KIND_COMMAND, "do", 2);

    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW), 0);
    /* Durable kinds are told apart by the seen-set. */
    assert_int_equal(open_at_site(p, NOW), 0);
    /* A thief of the site's sealing key cannot give the hub's orders. */
    ist_rand_bytes(p->hub.signing_secret, sizeof(p->hub.signing_secret));
    seal_to_site(p, letter);
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_SIGNATURE);
}

static void test_keys_that_nobody_has(void **state)
{
    struct pair *p = *state;
    struct ist_peer peer = p->to_site;

    memset(peer.sealing_public, 0, 32); /* Small order. */
    assert_int_equal(ist_peer_join(&peer, &p->hub), -EINVAL);
    memset(peer.sealing_public, 0xFF, 32); /* Not canonical. */
    assert_int_equal(ist_peer_join(&peer, &p->hub), -EINVAL);
    peer.sealing_public[31] = 0x7F;
    assert_int_equal(ist_peer_join(&peer, &p->hub), -EINVAL);
}

static void test_bomb(void **state)
{
    struct pair *p = *state;
    struct ist_letter letter = query(p);
    char body[8192];

    memset(body, 'y', sizeof(body));
    letter.body = body;
    letter.body_size = sizeof(body);
    seal_to_site(p, letter);
    ist_arena_fini(&p->arena);
    ist_arena_init(&p->arena, 4096); /* The cap that bounds it. */
    assert_int_equal(open_at_site(p, NOW), IST_SEAL_BODY);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_round_trip),
        T(test_large_body_is_compressed),
        T(test_bodies_of_all_sizes_in_a_row),
        T(test_every_flipped_bit_is_refused),
        T(test_every_truncation_is_refused),
        T(test_replay_is_refused),
        T(test_overtaking_within_the_window),
        T(test_far_behind_the_window),
        T(test_query_for_another_life_of_the_site),
        T(test_older_sender_is_refused),
        T(test_newer_sender_begins_a_window),
        T(test_times),
        T(test_delegation_bounds),
        T(test_roles),
        T(test_own_message_reflected),
        T(test_command_is_signed),
        T(test_keys_that_nobody_has),
        T(test_bomb),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
