#include "sites/registry.h"

#include "../scratch.h"
#include "base/log.h"
#include "codec/bundle.h"
#include "codec/file.h"
#include "codec/keyfile.h"
#include "codec/x509.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW 1800000000000ULL

/* The generated structs hold strings that are not const. */
#define WORD(text) ((char *) (uintptr_t) (text))

struct box {
    char dir[SCRATCH_SIZE], sites_dir[SCRATCH_SIZE + 8];
    struct ist_loop loop;
    struct ist_self hub;
    struct sites *sites;
    struct ist_keyfile keys; /* Of the last site made. */
    struct ist_err err;

    char last[SITES_NAME_SIZE];
    unsigned changes; /* All since the last take(). */
    size_t n_calls;
    bool closed;
};

static void changed(void *owner, struct sites_site *site, unsigned changes)
{
    struct box *box = owner;

    snprintf(box->last, sizeof(box->last), "%s", site->name);
    box->changes |= changes & ~(unsigned) SITES_CHANGE_HEARD;
    box->n_calls++;
}

static unsigned take(struct box *box)
{
    unsigned changes = box->changes;

    box->changes = 0;
    return changes;
}

static void closed(void *owner)
{
    ((struct box *) owner)->closed = true;
}

static void pass(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->loop) + ms;

    while (ist_loop_step(&box->loop, until))
        continue;
}

static void open_sites(struct box *box)
{
    box->sites = sites_new(&box->loop, box->sites_dir, &box->hub, changed, box,
                           &box->err);
    assert_non_null(box->sites);
}

static void close_sites(struct box *box)
{
    box->closed = false;
    sites_close(box->sites, closed);
    assert_false(box->closed);
    pass(box, 1);
    assert_true(box->closed);
}

static void rescan(struct box *box)
{
    sites_rescan(box->sites);
    pass(box, 0);
}

/* Keys of 'who', as the site 'name', in the hub's directory. */
static void add_as(struct box *box, const char *who, const char *name,
                   bool renew)
{
    struct ist_sb key, request, text;
    struct ist_bundle_site bundle;
    char dir[256];

    ist_sb_init(&key, 0);
    ist_sb_init(&request, 0);
    ist_sb_init(&text, 0);
    snprintf(dir, sizeof(dir), "%s/%s", box->dir, who);
    assert_int_equal(
        ist_keyfile_make(dir, IST_ROLE_SITE, name, NOW, &box->keys, &box->err),
        0);
    if (renew)
        assert_int_equal(ist_keyfile_renew(&box->keys, NOW, &box->err), 0);
    ist_file_read(scratch_path(dir, "tls.key"), IST_FILE_SECRET, &key, NULL);
    ist_x509_request_make(key.data, key.len, name, &request, NULL);
    bundle = (struct ist_bundle_site){.name = name,
                                      .signed_delegation =
                                          box->keys.signed_delegation,
                                      .signed_size = box->keys.signed_size,
                                      .request = request.data,
                                      .request_size = request.len};
    memcpy(bundle.root, box->keys.root, 32);
    ist_bundle_site_make(&bundle, &text);
    snprintf(dir, sizeof(dir), "%s/%s", box->sites_dir, name);
    mkdir(dir, 0700);
    assert_int_equal(ist_file_write(scratch_path(dir, "bundle"), IST_FILE_OWN,
                                    text.data, text.len, &box->err),
                     0);
    ist_sb_fini(&key);
    ist_sb_fini(&request);
    ist_sb_fini(&text);
    ist_keyfile_fini(&box->keys);
    ist_file_number_write(scratch_path(box->sites_dir, ".changed"), NOW, NULL);
}

static void add(struct box *box, const char *name)
{
    add_as(box, name, name, false);
}

static void remove_site(struct box *box, const char *name)
{
    scratch_drop(scratch_path(box->sites_dir, name));
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    ist_log_level_set(IST_LOG_ERROR);
    scratch_make(box->dir);
    snprintf(box->sites_dir, sizeof(box->sites_dir), "%s/sites", box->dir);
    mkdir(box->sites_dir, 0700);
    box->hub.role = IST_ROLE_HUB;
    box->hub.uid = ist_id_random();
    box->hub.epoch = 1;
    ist_self_make_keys(&box->hub);
    ist_loop_init_virtual(&box->loop, NOW);
    add(box, "hkg");
    add(box, "lon");
    open_sites(box);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_sites(box);
    ist_loop_fini(&box->loop);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

/* Who is there */

static void test_found_at_start(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    struct sites_site *lon = sites_find(box->sites, "lon");

    assert_int_equal(sites_count(box->sites), 2);
    assert_int_equal(box->n_calls, 0);
    assert_non_null(hkg);
    assert_string_equal(hkg->name, "hkg");
    assert_int_equal(hkg->state, SITES_UNKNOWN);
    assert_ptr_equal(sites_next(box->sites, NULL), hkg);
    assert_ptr_equal(sites_next(box->sites, hkg), lon);
    assert_null(sites_next(box->sites, lon));
    assert_ptr_equal(sites_find_uid(box->sites, &lon->peer.uid), lon);
    assert_null(sites_find_uid(box->sites, &box->hub.uid));
    assert_null(sites_find(box->sites, "sjc"));
    assert_null(sites_find(box->sites, ""));
    assert_null(
        sites_find(box->sites, "a-name-that-is-longer-than-any-may-be"));
}

static void test_found_by_key(void **state)
{
    struct box *box = *state;
    struct sites_site *lon = sites_find(box->sites, "lon");
    struct ist_peer hub = {.uid = box->hub.uid, .role = IST_ROLE_HUB};
    struct ist_keyfile keys;
    uint8_t id[16];

    /* The id that the site itself would write. */
    assert_int_equal(
        ist_keyfile_load(scratch_path(box->dir, "lon"), &keys, &box->err), 0);
    memcpy(hub.sealing_public, box->hub.sealing_public, 32);
    assert_int_equal(ist_peer_join(&hub, &keys.self), 0);
    assert_ptr_equal(sites_find_peer(box->sites, hub.id_out), &lon->peer);
    assert_ptr_equal(sites_of_peer(&lon->peer), lon);
    assert_memory_equal(hub.shared, lon->peer.shared, sizeof(hub.shared));
    memcpy(id, hub.id_out, sizeof(id));
    id[15] ^= 1;
    assert_null(sites_find_peer(box->sites, id));
    /* Our own direction is none that comes in. */
    assert_null(sites_find_peer(box->sites, hub.id_in));
    ist_keyfile_fini(&keys);
}

static void test_letter_goes_through(void **state)
{
    struct box *box = *state;
    struct sites_site *lon = sites_find(box->sites, "lon");
    struct ist_peer hub = {.uid = box->hub.uid,
                           .role = IST_ROLE_HUB,
                           .kinds = UINT32_MAX,
                           .not_after_ms = UINT64_MAX / 2};
    struct ist_letter letter = {.kind = IST_KIND_HEARTBEAT,
                                .expires_ms = NOW + 15000,
                                .body = "x",
                                .body_size = 1};
    struct ist_keyfile keys;
    struct ist_arena arena;
    struct ist_sb wire;
    struct ist_peer *from;

    assert_int_equal(
        ist_keyfile_load(scratch_path(box->dir, "lon"), &keys, &box->err), 0);
    keys.self.epoch = 7;
    memcpy(hub.sealing_public, box->hub.sealing_public, 32);
    assert_int_equal(ist_peer_join(&hub, &keys.self), 0);
    ist_sb_init(&wire, 0);
    ist_arena_init(&arena, 1 << 20);
    assert_int_equal(ist_seal(&keys.self, &hub, NOW, &letter, &wire), 0);
    assert_int_equal(ist_open(&box->hub, sites_find_peer, box->sites, NOW,
                              30000, wire.data, wire.len, &arena, &letter,
                              &from),
                     0);
    assert_ptr_equal(sites_of_peer(from), lon);
    sites_heard(box->sites, lon);
    assert_int_equal(take(box), SITES_CHANGE_RESTART);
    ist_sb_fini(&wire);
    ist_arena_fini(&arena);
    ist_keyfile_fini(&keys);
}

/* The directory changes */

static void test_added(void **state)
{
    struct box *box = *state;

    rescan(box);
    assert_int_equal(box->n_calls, 0);
    add(box, "sjc");
    rescan(box);
    assert_int_equal(take(box), SITES_CHANGE_ADDED);
    assert_string_equal(box->last, "sjc");
    assert_non_null(sites_find(box->sites, "sjc"));
    rescan(box);
    assert_int_equal(box->n_calls, 1);
}

static void test_removed(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    static const uint8_t zero[sizeof(hkg->peer.shared)];
    uint8_t id[16];

    memcpy(id, hkg->peer.id_in, sizeof(id));
    remove_site(box, "hkg");
    rescan(box);
    assert_int_equal(take(box), SITES_CHANGE_REMOVED | SITES_CHANGE_STATE);
    assert_int_equal(sites_count(box->sites), 1);
    assert_null(sites_find(box->sites, "hkg"));
    assert_null(sites_find_peer(box->sites, id));
    /* What others still hold stays readable, but of no use. */
    assert_int_equal(hkg->state, SITES_REMOVED);
    assert_string_equal(hkg->name, "hkg");
    assert_memory_equal(hkg->peer.shared, zero, sizeof(zero));
    sites_presence(box->sites, hkg,
                   &(Isthmus__V1__Presence) ISTHMUS__V1__PRESENCE__INIT, NOW);
    assert_int_equal(hkg->state, SITES_REMOVED);
    assert_int_equal(take(box), 0);
}

static void test_replaced(void **state)
{
    struct box *box = *state;
    struct sites_site *old = sites_find(box->sites, "hkg"), *new;

    remove_site(box, "hkg");
    add_as(box, "hkg-anew", "hkg", false);
    rescan(box);
    assert_int_equal(take(box), SITES_CHANGE_REMOVED | SITES_CHANGE_STATE |
                                    SITES_CHANGE_ADDED);
    new = sites_find(box->sites, "hkg");
    assert_ptr_not_equal(new, old);
    assert_int_equal(old->state, SITES_REMOVED);
    assert_false(ist_id_eq(&new->peer.uid, &old->peer.uid));
}

static void test_renewed_keys(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    uint8_t before[16];

    memcpy(before, hkg->peer.id_in, sizeof(before));
    hkg->peer.epoch = 77;
    hkg->peer.sequence_out = 5;
    add_as(box, "hkg", "hkg", true);
    rescan(box);
    assert_int_equal(take(box), SITES_CHANGE_KEYS);
    assert_ptr_equal(sites_find(box->sites, "hkg"), hkg);
    assert_memory_not_equal(hkg->peer.id_in, before, sizeof(before));
    assert_null(sites_find_peer(box->sites, before));
    assert_ptr_equal(sites_find_peer(box->sites, hkg->peer.id_in), &hkg->peer);
    assert_int_equal(hkg->peer.epoch, 77);
    assert_int_equal(hkg->peer.sequence_out, 5);
}

static void test_older_keys_ignored(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    const char *path = scratch_path(box->sites_dir, "hkg/bundle");
    char *old = scratch_read(path, NULL);
    uint8_t now[16];

    add_as(box, "hkg", "hkg", true);
    rescan(box);
    take(box);
    memcpy(now, hkg->peer.id_in, sizeof(now));
    scratch_write(scratch_path(box->sites_dir, "hkg/bundle"), old);
    ist_file_number_write(scratch_path(box->sites_dir, ".changed"), 1, NULL);
    rescan(box);
    assert_int_equal(take(box), 0);
    assert_memory_equal(hkg->peer.id_in, now, sizeof(now));
    free(old);
}

static void test_unusable_folders(void **state)
{
    struct box *box = *state;

    ist_log_level_set(IST_LOG_ERROR);
    mkdir(scratch_path(box->sites_dir, "empty"), 0700);
    mkdir(scratch_path(box->sites_dir, "hub-x"), 0700);
    mkdir(scratch_path(box->sites_dir, "broken"), 0700);
    scratch_write(scratch_path(box->sites_dir, "broken/bundle"), "x");
    chmod(scratch_path(box->sites_dir, "broken/bundle"), 0600);
    scratch_write(scratch_path(box->sites_dir, "file"), "x");
    /* The bundle of another. */
    mkdir(scratch_path(box->sites_dir, "sjc"), 0700);
    assert_int_equal(link(scratch_path(box->sites_dir, "lon/bundle"),
                          scratch_path(box->sites_dir, "sjc/bundle")),
                     0);
    rescan(box);
    assert_int_equal(sites_count(box->sites), 2);
    assert_int_equal(take(box), 0);
}

static void test_damage_is_no_removal(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");

    scratch_write(scratch_path(box->sites_dir, "hkg/bundle"), "x");
    ist_file_number_write(scratch_path(box->sites_dir, ".changed"), 1, NULL);
    rescan(box);
    assert_int_equal(take(box), 0);
    assert_ptr_equal(sites_find(box->sites, "hkg"), hkg);
    /* Nor is a directory that is away. */
    rename(box->sites_dir, scratch_path(box->dir, "away"));
    rescan(box);
    assert_int_equal(sites_count(box->sites), 2);
    rename(scratch_path(box->dir, "away"), box->sites_dir);
}

static void test_same_keys_twice(void **state)
{
    struct box *box = *state;

    /* Two names with one principal's keys: only one of them comes in. */
    add_as(box, "sjc", "sjc", false);
    rename(scratch_path(box->dir, "sjc"), scratch_path(box->dir, "twin"));
    scratch_write(scratch_path(box->dir, "twin/identity"), "");
    {
        char uid[IST_ID_HEX_SIZE], text[256];

        snprintf(text, sizeof(text),
                 "{\"role\": \"site\", \"name\": \"syd\", \"uid\": "
                 "\"%s\"}",
                 ist_id_hex(&box->keys.self.uid, uid));
        scratch_write(scratch_path(box->dir, "twin/identity"), text);
    }
    add_as(box, "twin", "syd", false);
    rescan(box);
    assert_int_equal(sites_count(box->sites), 3);
    assert_non_null(sites_find(box->sites, "sjc"));
    assert_null(sites_find(box->sites, "syd"));
}

static void test_settled_directory_is_not_read(void **state)
{
    struct box *box = *state;
    const struct timespec old[2] = {{1000, 0}, {1000, 5}};

    assert_int_equal(utimensat(AT_FDCWD, box->sites_dir, old, 0), 0);
    rescan(box);
    /* Behind its back: nothing says that anything changed. */
    remove_site(box, "hkg");
    assert_int_equal(utimensat(AT_FDCWD, box->sites_dir, old, 0), 0);
    rescan(box);
    assert_int_equal(sites_count(box->sites), 2);
    ist_file_number_write(scratch_path(box->sites_dir, ".changed"), 1, NULL);
    rescan(box);
    assert_int_equal(sites_count(box->sites), 1);
}

static void test_no_directory(void **state)
{
    struct box *box = *state;

    assert_null(
        sites_new(&box->loop, "/nowhere", &box->hub, changed, box, &box->err));
    assert_int_equal(box->err.code, -ENOENT);
}

/* Whether it is there */

static void say(struct box *box, const char *name,
                const Isthmus__V1__Presence *presence)
{
    sites_presence(box->sites, sites_find(box->sites, name), presence,
                   ist_loop_wall(&box->loop) - 40);
}

static void test_presence(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;
    char *services[] = {WORD("compute"), WORD("image")};
    uint8_t digest[32] = {1, 2, 3};
    Isthmus__V1__FeedState feed;
    Isthmus__V1__KindPosition position, *positions[] = {&position};

    presence.version = WORD("0.1.0");
    presence.policy_mode = WORD("active");
    presence.policy_digest.data = digest;
    presence.policy_digest.len = sizeof(digest);
    presence.services = services;
    presence.n_services = 2;
    presence.open_calls = 4;
    isthmus__v1__feed_state__init(&feed);
    isthmus__v1__kind_position__init(&position);
    feed.epoch = 7;
    feed.next_sequence = 99;
    position.kind = WORD("server");
    position.position = 12;
    position.trouble = WORD("nova\x1b[31m is down");
    feed.n_kinds = 1;
    feed.kinds = positions;
    presence.feed = &feed;
    presence.started_ms = NOW - 5;
    say(box, "hkg", &presence);
    assert_int_equal(take(box), SITES_CHANGE_STATE | SITES_CHANGE_POLICY |
                                    SITES_CHANGE_VERSION |
                                    SITES_CHANGE_SERVICES);
    assert_int_equal(hkg->state, SITES_PRESENT);
    assert_string_equal(hkg->version, "0.1.0");
    assert_string_equal(hkg->policy_mode, "active");
    assert_memory_equal(hkg->policy_digest, digest, 32);
    assert_int_equal(hkg->n_services, 2);
    assert_string_equal(hkg->services[1], "image");
    assert_int_equal(hkg->open_calls, 4);
    assert_int_equal(hkg->feed_epoch, 7);
    assert_int_equal(hkg->feed_next_sequence, 99);
    assert_int_equal(hkg->n_feed, 1);
    assert_string_equal(hkg->feed[0].kind, "server");
    assert_int_equal(hkg->feed[0].position, 12);
    assert_string_equal(hkg->feed[0].trouble, "nova?[31m is down");
    assert_int_equal(hkg->clock_offset_ms, -40);
    assert_int_equal(hkg->heard_ms, NOW);
    say(box, "hkg", &presence);
    assert_int_equal(take(box), 0);
    presence.policy_mode = WORD("frozen");
    say(box, "hkg", &presence);
    assert_int_equal(take(box), SITES_CHANGE_POLICY);
    assert_int_equal(sites_count_state(box->sites, SITES_PRESENT), 1);
    assert_int_equal(sites_count_state(box->sites, SITES_UNKNOWN), 1);
}

static void test_silence(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;

    /* Never heard: unknown at first, then absent. */
    pass(box, SITES_ABSENT_MS - 1);
    assert_int_equal(hkg->state, SITES_UNKNOWN);
    say(box, "hkg", &presence);
    pass(box, 1);
    assert_int_equal(hkg->state, SITES_PRESENT);
    assert_int_equal(sites_find(box->sites, "lon")->state, SITES_ABSENT);
    /* 10 s after the last one, to the millisecond. */
    take(box);
    pass(box, SITES_ABSENT_MS - 2);
    assert_int_equal(hkg->state, SITES_PRESENT);
    pass(box, 1);
    assert_int_equal(hkg->state, SITES_ABSENT);
    assert_int_equal(take(box), SITES_CHANGE_STATE);
    assert_int_equal(hkg->changed_ms, ist_loop_wall(&box->loop));
    say(box, "hkg", &presence);
    assert_int_equal(hkg->state, SITES_PRESENT);
    /* The hub was deaf itself: from then on, and only for one that is there. */
    pass(box, SITES_ABSENT_MS - 10);
    sites_listen_anew(box->sites);
    pass(box, SITES_ABSENT_MS - 1);
    assert_int_equal(hkg->state, SITES_PRESENT);
    assert_int_equal(sites_find(box->sites, "lon")->state, SITES_ABSENT);
    pass(box, 1);
    assert_int_equal(hkg->state, SITES_ABSENT);
    say(box, "hkg", &presence);
    /* A goodbye. */
    presence.leaving = true;
    say(box, "hkg", &presence);
    assert_int_equal(hkg->state, SITES_ABSENT);
}

static void test_hostile_words(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;
    char longest[5000], *services[200];

    memset(longest, 'v', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    for (size_t i = 0; i < IST_COUNT(services); i++)
        services[i] = longest;
    presence.version = WORD("1\x1b[31m\n\xc3\xa9");
    presence.policy_mode = WORD("whatever");
    presence.services = services;
    presence.n_services = IST_COUNT(services);
    presence.policy_digest.data = (uint8_t *) longest;
    presence.policy_digest.len = 31;
    say(box, "hkg", &presence);
    assert_string_equal(hkg->version, "1?[31m???");
    assert_string_equal(hkg->policy_mode, "unknown");
    assert_int_equal(hkg->n_services, SITES_SERVICES_MAX);
    assert_int_equal(strlen(hkg->services[31]), 31);
    presence.version = longest;
    say(box, "hkg", &presence);
    assert_int_equal(strlen(hkg->version), 31);
    /* A clock far ahead of ours must not overflow anything. */
    sites_presence(box->sites, hkg, &presence, UINT64_MAX);
    sites_presence(box->sites, hkg, &presence, 0);
    assert_true(hkg->clock_offset_ms < 0);
}

/* Epochs */

static void test_epoch_is_durable(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    uint64_t stored;

    hkg->peer.epoch = 500; /* As ist_open() leaves it. */
    sites_heard(box->sites, hkg);
    pass(box, 0);
    assert_int_equal(take(box), SITES_CHANGE_RESTART);
    sites_heard(box->sites, hkg);
    assert_int_equal(take(box), 0);
    assert_int_equal(
        ist_file_number_read(scratch_path(box->sites_dir, "hkg/epoch"), &stored,
                             &box->err),
        0);
    assert_int_equal(stored, 500);
    close_sites(box);
    open_sites(box);
    hkg = sites_find(box->sites, "hkg");
    assert_int_equal(hkg->peer.epoch, 500);
    sites_heard(box->sites, hkg);
    assert_int_equal(take(box), 0);
}

static void test_epoch_not_stored_is_tried_again(void **state)
{
    struct box *box = *state;
    struct sites_site *hkg = sites_find(box->sites, "hkg");
    uint64_t stored = 0;

    rename(box->sites_dir, scratch_path(box->dir, "away"));
    hkg->peer.epoch = 500;
    sites_heard(box->sites, hkg);
    pass(box, 0);
    rename(scratch_path(box->dir, "away"), box->sites_dir);
    sites_heard(box->sites, hkg);
    pass(box, 0);
    ist_file_number_read(scratch_path(box->sites_dir, "hkg/epoch"), &stored,
                         NULL);
    assert_int_equal(stored, 500);
}

static void test_damaged_epoch(void **state)
{
    struct box *box = *state;

    close_sites(box);
    scratch_write(scratch_path(box->sites_dir, "hkg/epoch"), "5x");
    open_sites(box);
    /* Better no site than one whose past could be played again. */
    assert_null(sites_find(box->sites, "hkg"));
    assert_non_null(sites_find(box->sites, "lon"));
}

/* The real pool */

static void end_loop(void *owner)
{
    ((struct box *) owner)->closed = true;
}

static void test_real_loop(void **state)
{
    struct box *box = *state;
    struct ist_loop loop;
    struct sites *sites;
    uint64_t stored = 0;

    assert_int_equal(ist_loop_init(&loop), 0);
    sites = sites_new(&loop, box->sites_dir, &box->hub, NULL, box, &box->err);
    assert_non_null(sites);
    sites_find(sites, "lon")->peer.epoch = 9;
    sites_heard(sites, sites_find(sites, "lon"));
    sites_rescan(sites);
    sites_rescan(sites);
    /* Closed while the pool is at work. */
    sites_close(sites, end_loop);
    ist_loop_run(&loop);
    assert_true(box->closed);
    ist_loop_fini(&loop);
    ist_file_number_read(scratch_path(box->sites_dir, "lon/epoch"), &stored,
                         NULL);
    assert_int_equal(stored, 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_found_at_start),
        TEST(test_found_by_key),
        TEST(test_letter_goes_through),
        TEST(test_added),
        TEST(test_removed),
        TEST(test_replaced),
        TEST(test_renewed_keys),
        TEST(test_older_keys_ignored),
        TEST(test_unusable_folders),
        TEST(test_damage_is_no_removal),
        TEST(test_same_keys_twice),
        TEST(test_settled_directory_is_not_read),
        TEST(test_no_directory),
        TEST(test_presence),
        TEST(test_silence),
        TEST(test_hostile_words),
        TEST(test_epoch_is_durable),
        TEST(test_epoch_not_stored_is_tried_again),
        TEST(test_damaged_epoch),
        TEST(test_real_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
