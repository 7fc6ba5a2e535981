/* Envelope opening. First byte 0: the rest is what the broker delivers. Else
 * the rest is taken as the inside of a box that a peer sealed with the right
 * key: the hostile site, which gets past the cryptography. */
#include "../unit/identity.h"
#include "base/rand.h"
#include "codec/seal.h"

#include <assert.h>
#include <string.h>

#define NOW 1800000000000ULL

static struct ist_self self, other;
static struct ist_peer to_self, to_other;

static struct ist_peer *find(void *arg, const uint8_t id[16])
{
    (void) arg;
    (void) id;
    return &to_other;
}

static void setup(void)
{
    struct ist_self *both[] = {&self, &other};

    assert(sodium_init() >= 0);
    ist_rand_plant(1);
    for (int i = 0; i < 2; i++) {
        memset(both[i]->uid.b, i + 1, 16);
        both[i]->role = i ? IST_ROLE_HUB : IST_ROLE_SITE;
        both[i]->epoch = 1;
        ist_self_make_keys(both[i]);
    }
    to_self = identity_peer(&self, &other);
    to_other = identity_peer(&other, &self);
}

static void box_up(const uint8_t *plain, size_t size, struct ist_sb *wire)
{
    uint8_t *room =
        (uint8_t *) ist_sb_reserve(wire, 52 + crypto_box_MACBYTES + size);
    uint32_t box = (uint32_t) (size + crypto_box_MACBYTES);

    memset(room, 0, 52);
    memcpy(room, "ISTH\1", 5);
    for (int i = 0; i < 4; i++)
        room[8 + i] = (uint8_t) (box >> (24 - 8 * i));
    crypto_box_easy_afternm(room + 52, plain, size, room + 28, to_self.shared);
    wire->len += 52 + box;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ist_arena arena;
    struct ist_sb wire;
    struct ist_letter letter;
    struct ist_peer *peer, before;
    int rc;

    if (self.epoch == 0)
        setup();
    if (size == 0 || size > 100000)
        return 0;
    before = to_other;
    ist_arena_init(&arena, 4 * 1024 * 1024);
    ist_sb_init(&wire, 0);
    if (data[0])
        box_up(data + 1, size - 1, &wire);
    else
        ist_sb_add(&wire, data + 1, size - 1);
    rc = ist_open(&self, find, NULL, NOW, 30000, wire.data, wire.len, &arena,
                  &letter, &peer);
    assert(rc >= 0);
    if (rc == 0) {
        assert(letter.body_size <= IST_SEAL_BODY_MAX);
        assert(letter.audience_epoch == 0 || letter.audience_epoch == 1);
    } else {
        /* A refused message leaves no trace in what is known of the peer. */
        assert(memcmp(&before, &to_other, sizeof(before)) == 0);
    }
    to_other = before;
    ist_sb_fini(&wire);
    ist_arena_fini(&arena);
    return 0;
}
