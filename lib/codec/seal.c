/* One function seals, one opens. What a kind may do stands in one table; the
 * checks of ist_open() are a list of small functions run in the order that
 * the header promises, so that the order can be read, and tested, as data. */
#include "codec/seal.h"

#include "base/mutant.h"
#include "base/rand.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define VERSION       1
#define OUTER_SIZE    52U
#define HEADER_SIZE   144U
#define SIGNATURE     crypto_sign_BYTES
#define COMPRESS_FROM 4096U
#define DENSE_AGAIN   31 /* Pieces passed by after one that is dense. */
#define JUMP_MAX      (1ULL << 32) /* Sequences skipped at once, at most. */

#define FLAG_SIGNED 1U
#define FLAG_ZSTD   2U

#define PACKER_KEEP (640U * 1024)

#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

enum kind_traits {
    FROM_HUB = 1,
    FROM_SITE = 2,
    FROM_BOTH = 3,
    SIGNED = 4,  /* A command: others must be able to check who ordered it. */
    DURABLE = 8, /* Judged by the seen-set, not by the sequence window. */
    NAMED = 16,  /* Names the audience's epoch. */
    ASKS = 32,   /* Its answers carry its hash. */
};

static const struct {
    unsigned traits;
    uint64_t lifetime_ms; /* Most between issued and expires. */
} kinds[IST_KIND_END] = {
    [IST_KIND_COMMAND] = {FROM_HUB | SIGNED | DURABLE | ASKS, 15 * MINUTE},
    [IST_KIND_ACCEPTED] = {FROM_SITE, MINUTE},
    [IST_KIND_RESULT] = {FROM_SITE | DURABLE, 7 * 24 * HOUR},
    [IST_KIND_EVENT] = {FROM_SITE | DURABLE, 25 * HOUR},
    [IST_KIND_HEARTBEAT] = {FROM_BOTH, MINUTE},
    [IST_KIND_QUERY] = {FROM_HUB | NAMED | ASKS, MINUTE},
    [IST_KIND_ANSWER] = {FROM_SITE | NAMED, MINUTE},
    [IST_KIND_ROTATE] = {FROM_BOTH | DURABLE, 15 * MINUTE},
    [IST_KIND_CANCEL] = {FROM_HUB | NAMED, MINUTE},
    [IST_KIND_CREDIT] = {FROM_BOTH | NAMED, MINUTE},
    [IST_KIND_DATA] = {FROM_BOTH | NAMED, MINUTE},
};

const char *ist_seal_refusal_name(int refusal)
{
    static const char *const names[IST_SEAL_REFUSALS] = {
        [IST_SEAL_SHAPE] = "shape",         [IST_SEAL_UNKNOWN] = "unknown_pair",
        [IST_SEAL_FORGED] = "forged",       [IST_SEAL_KIND] = "kind",
        [IST_SEAL_FLAGS] = "flags",         [IST_SEAL_AUDIENCE] = "audience",
        [IST_SEAL_SENDER] = "sender",       [IST_SEAL_EXPIRED] = "expired",
        [IST_SEAL_EPOCH] = "epoch",         [IST_SEAL_REPLAY] = "replay",
        [IST_SEAL_SIGNATURE] = "signature", [IST_SEAL_BODY] = "body",
    };

    if (refusal <= 0 || refusal >= IST_SEAL_REFUSALS)
        return "unknown";
    return names[refusal];
}

/* Keys */

void ist_self_make_keys(struct ist_self *self)
{
    uint8_t seed[32];

    static_assert(sizeof(seed) == crypto_sign_SEEDBYTES, "seed");
    static_assert(sizeof(seed) == crypto_box_SEEDBYTES, "seed");
    ist_rand_bytes(seed, sizeof(seed));
    crypto_sign_seed_keypair(self->signing_public, self->signing_secret, seed);
    ist_rand_bytes(seed, sizeof(seed));
    crypto_box_seed_keypair(self->sealing_public, self->sealing_secret, seed);
    sodium_memzero(seed, sizeof(seed));
}

void ist_self_wipe(struct ist_self *self)
{
    sodium_memzero(self->signing_secret, sizeof(self->signing_secret));
    sodium_memzero(self->sealing_secret, sizeof(self->sealing_secret));
}

/* Little endian, below 2^255 - 19: libsodium takes larger ones too, so that
 * one key would have two spellings. */
static bool is_canonical(const uint8_t key[32])
{
    if (key[31] != 0x7F)
        return key[31] < 0x7F;
    for (int i = 30; i > 0; i--) {
        if (key[i] != 0xFF)
            return true;
    }
    return key[0] < 0xED;
}

static void pair_id(uint8_t id[16], const uint8_t sender[32],
                    const uint8_t audience[32])
{
    uint8_t both[64], hash[crypto_hash_sha256_BYTES];

    memcpy(both, sender, 32);
    memcpy(both + 32, audience, 32);
    crypto_hash_sha256(hash, both, sizeof(both));
    memcpy(id, hash, 16);
}

int ist_peer_join(struct ist_peer *peer, const struct ist_self *self)
{
    if (!is_canonical(peer->sealing_public) ||
        crypto_box_beforenm(peer->shared, peer->sealing_public,
                            self->sealing_secret) != 0)
        return -EINVAL;
    pair_id(peer->id_out, self->sealing_public, peer->sealing_public);
    pair_id(peer->id_in, peer->sealing_public, self->sealing_public);
    return 0;
}

void ist_peer_wipe(struct ist_peer *peer)
{
    sodium_memzero(peer->shared, sizeof(peer->shared));
}

/* The inner header, as fields and as bytes */

struct header {
    uint8_t version, kind;
    uint16_t flags;
    uint32_t body_size;
    struct ist_id message, op, sender, audience;
    uint64_t issued, expires, epoch, sequence;
    uint8_t request_hash[32];
    uint64_t audience_epoch;
};

static_assert(sizeof(struct header) == HEADER_SIZE, "no padding inside");

static void swap(struct header *h)
{
    h->flags = htobe16(h->flags);
    h->body_size = htobe32(h->body_size);
    h->issued = htobe64(h->issued);
    h->expires = htobe64(h->expires);
    h->epoch = htobe64(h->epoch);
    h->sequence = htobe64(h->sequence);
    h->audience_epoch = htobe64(h->audience_epoch);
}

/* What is hashed, and what answers bind to. */
static void request_hash(uint8_t hash[32], const void *header, const void *body,
                         size_t size)
{
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, header, HEADER_SIZE);
    crypto_hash_sha256_update(&state, body, size);
    crypto_hash_sha256_final(&state, hash);
}

/* What is signed: DSSE's pre-authentication encoding over header and body
 * hash, so that the bytes of one kind can never pass for another's. */
static size_t signed_text(uint8_t text[256], const uint8_t *header,
                          const void *body, size_t size)
{
    static const char intro[] = "ISTHMUSv1 34 "
                                "application/vnd.isthmus.command.v1 176 ";
    size_t at = sizeof(intro) - 1;

    memcpy(text, intro, at);
    memcpy(text + at, header, HEADER_SIZE);
    at += HEADER_SIZE;
    crypto_hash_sha256(text + at, body, size);
    return at + crypto_hash_sha256_BYTES;
}

/* zstd's working memory, one each for a thread: making it anew costs as much
 * as the work on a small body. A packer that met a large body is let go. */
static _Thread_local ZSTD_CCtx *packer;
static _Thread_local ZSTD_DCtx *unpacker;

/* Level 1, but for its hash table, which would be cleared for each body and
 * has up to 128 KiB: on bodies of a few KiB that takes longer than the work,
 * and 16 KiB find as much in the largest. */
static ZSTD_CCtx *packer_new(void)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();

    if (!ctx)
        return NULL;
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_hashLog, 12);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_minMatch, 6);
    return ctx;
}

static size_t compress(void *to, size_t room, const void *from, size_t size)
{
    size_t n;

    if (!packer)
        packer = packer_new();
    if (!packer)
        return 0;
    n = ZSTD_compress2(packer, to, room, from, size);
    if (ZSTD_sizeof_CCtx(packer) > PACKER_KEEP) {
        ZSTD_freeCCtx(packer);
        packer = NULL;
    }
    return ZSTD_isError(n) ? 0 : n;
}

static bool decompress(void *to, size_t plain, const void *from, size_t size)
{
    size_t n;

    if (!unpacker)
        unpacker = ZSTD_createDCtx();
    if (!unpacker)
        return false;
    n = ZSTD_decompressDCtx(unpacker, to, plain, from, size);
    return !ZSTD_isError(n) && n == plain;
}

/* Sealing */

static bool is_packable(const struct ist_letter *letter)
{
    return letter->body_size > COMPRESS_FROM &&
           (!letter->n_dense || *letter->n_dense == 0);
}

/* Images are compressed or random more often than not; then trying each piece
 * would take as long as sealing it. */
static void note_density(const struct ist_letter *letter, bool was_tried,
                         bool is_dense)
{
    if (!letter->n_dense)
        return;
    if (was_tried)
        *letter->n_dense = is_dense ? DENSE_AGAIN : 0;
    else if (*letter->n_dense > 0)
        --*letter->n_dense;
}

/* What a body can need at its place in the letter. */
static size_t body_room(const struct ist_letter *letter)
{
    return is_packable(letter)
               ? sizeof(uint32_t) + ZSTD_compressBound(letter->body_size)
               : letter->body_size;
}

/* The body as it will travel, at its place: compressed when that pays. Returns
 * its size. */
static size_t put_body(const struct ist_letter *letter, uint8_t *to,
                       uint16_t *flags)
{
    uint32_t plain = htobe32((uint32_t) letter->body_size);
    bool is_tried = is_packable(letter), pays;
    size_t size = 0;

    if (is_tried)
        size =
            compress(to + sizeof(plain), ZSTD_compressBound(letter->body_size),
                     letter->body, letter->body_size);
    pays = size &&
           size + sizeof(plain) <= letter->body_size - letter->body_size / 10;
    note_density(letter, is_tried, !pays);
    if (pays) {
        memcpy(to, &plain, sizeof(plain));
        *flags |= FLAG_ZSTD;
        return size + sizeof(plain);
    }
    if (letter->body_size)
        memcpy(to, letter->body, letter->body_size);
    return letter->body_size;
}

static void fill_header(const struct ist_self *self, struct ist_peer *peer,
                        uint64_t now_ms, struct ist_letter *letter,
                        struct header *h)
{
    letter->message = ist_id_random();
    letter->sender = self->uid;
    letter->issued_ms = now_ms;
    letter->epoch = self->epoch;
    letter->sequence = ++peer->sequence_out;
    h->version = VERSION;
    h->kind = (uint8_t) letter->kind;
    h->message = letter->message;
    h->op = letter->op;
    h->sender = self->uid;
    h->audience = peer->uid;
    h->issued = now_ms;
    h->expires = letter->expires_ms;
    h->epoch = self->epoch;
    h->sequence = letter->sequence;
    memcpy(h->request_hash, letter->request_hash, sizeof(h->request_hash));
    h->audience_epoch = letter->audience_epoch;
}

static void put_outer(uint8_t *outer, const struct ist_peer *peer,
                      size_t box_size)
{
    uint32_t size = htobe32((uint32_t) box_size);

    memcpy(outer, "ISTH\1\0\0\0", 8);
    memcpy(outer + 8, &size, sizeof(size));
    memcpy(outer + 12, peer->id_out, 16);
    ist_rand_bytes(outer + 28, crypto_box_NONCEBYTES);
}

int ist_seal(const struct ist_self *self, struct ist_peer *peer,
             uint64_t now_ms, struct ist_letter *letter, struct ist_sb *out)
{
    bool is_signed = kinds[letter->kind].traits & SIGNED;
    size_t head = HEADER_SIZE + (is_signed ? SIGNATURE : 0);
    struct header h = {0};
    size_t size, box_size;
    uint8_t *room, *plain, *body;

    if (letter->body_size > IST_SEAL_BODY_MAX)
        return -EMSGSIZE;
    room = (uint8_t *) ist_sb_reserve(out, OUTER_SIZE + crypto_box_MACBYTES +
                                               head + body_room(letter));
    if (!room)
        return out->rc;
    plain = room + OUTER_SIZE + crypto_box_MACBYTES;
    body = plain + head;
    fill_header(self, peer, now_ms, letter, &h);
    size = put_body(letter, body, &h.flags);
    h.flags = (uint16_t) (h.flags | (is_signed ? FLAG_SIGNED : 0));
    h.body_size = (uint32_t) size;
    swap(&h);
    memcpy(plain, &h, HEADER_SIZE);
    if (is_signed) {
        uint8_t text[256];
        size_t len = signed_text(text, plain, body, size);

        crypto_sign_detached(plain + HEADER_SIZE, NULL, text, len,
                             self->signing_secret);
    }
    if (kinds[letter->kind].traits & ASKS)
        request_hash(letter->hash, plain, body, size);
    box_size = crypto_box_MACBYTES + head + size;
    put_outer(room, peer, box_size);
    /* In place: the plain text stands where the box's text will. */
    crypto_box_easy_afternm(room + OUTER_SIZE, plain, head + size, room + 28,
                            peer->shared);
    out->len += OUTER_SIZE + box_size;
    out->data[out->len] = '\0';
    return 0;
}

void ist_seal_trim(void)
{
    ZSTD_freeCCtx(IST_TAKE(packer)); /* NULL is fine. */
    ZSTD_freeDCtx(IST_TAKE(unpacker));
}

/* Opening: the state that the checks share */

struct opening {
    const struct ist_self *self;
    ist_peer_find_fn *find;
    void *find_arg;
    uint64_t now, skew;
    const uint8_t *data;
    size_t size;
    struct ist_arena *arena;

    struct ist_peer *peer;
    uint8_t *plain; /* In the arena. */
    size_t plain_size;
    struct header h; /* In host order. */
    unsigned traits;
    const uint8_t *body; /* As it travelled. */
};

static int check_shape(struct opening *o)
{
    static const uint8_t start[8] = {'I', 'S', 'T', 'H', VERSION, 0, 0, 0};
    uint32_t box_size;

    if (o->size < OUTER_SIZE + crypto_box_MACBYTES + HEADER_SIZE ||
        o->size > IST_SEAL_MAX || memcmp(o->data, start, sizeof(start)) != 0)
        return IST_SEAL_SHAPE;
    memcpy(&box_size, o->data + 8, sizeof(box_size));
    if (be32toh(box_size) != o->size - OUTER_SIZE)
        return IST_SEAL_SHAPE;
    return 0;
}

static int check_pair(struct opening *o)
{
    o->peer = o->find(o->find_arg, o->data + 12);
    return o->peer ? 0 : IST_SEAL_UNKNOWN;
}

static int check_box(struct opening *o)
{
    size_t box_size = o->size - OUTER_SIZE;

    o->plain_size = box_size - crypto_box_MACBYTES;
    o->plain = ist_arena_alloc(o->arena, o->plain_size);
    if (!o->plain)
        return IST_SEAL_BODY;
    if (crypto_box_open_easy_afternm(o->plain, o->data + OUTER_SIZE, box_size,
                                     o->data + 28, o->peer->shared) != 0)
        return IST_SEAL_FORGED;
    memcpy(&o->h, o->plain, HEADER_SIZE);
    swap(&o->h);
    return o->h.version == VERSION ? 0 : IST_SEAL_SHAPE;
}

static int check_kind(struct opening *o)
{
    unsigned from = o->peer->role == IST_ROLE_HUB ? FROM_HUB : FROM_SITE;

    if (o->h.kind >= IST_KIND_END)
        return IST_SEAL_KIND;
    o->traits = kinds[o->h.kind].traits;
    if (!(o->traits & from) || !(o->peer->kinds & (1U << o->h.kind)))
        return IST_SEAL_KIND;
    return 0;
}

static int check_flags(struct opening *o)
{
    bool is_signed = o->h.flags & FLAG_SIGNED;
    size_t head = HEADER_SIZE + (is_signed ? SIGNATURE : 0);

    if (o->h.flags & ~(FLAG_SIGNED | FLAG_ZSTD) ||
        is_signed != !!(o->traits & SIGNED))
        return IST_SEAL_FLAGS;
    if (o->plain_size < head || o->h.body_size != o->plain_size - head)
        return IST_SEAL_SHAPE;
    o->body = o->plain + head;
    return 0;
}

static int check_audience(struct opening *o)
{
    return ist_id_eq(&o->h.audience, &o->self->uid) ? 0 : IST_SEAL_AUDIENCE;
}

static int check_sender(struct opening *o)
{
    if (!ist_id_eq(&o->h.sender, &o->peer->uid))
        return IST_SEAL_SENDER;
    if (o->now + o->skew < o->peer->not_before_ms ||
        o->now > o->peer->not_after_ms + o->skew)
        return IST_SEAL_SENDER;
    return 0;
}

static int check_time(struct opening *o)
{
    const struct header *h = &o->h;

    if (h->expires < h->issued ||
        h->expires - h->issued > kinds[h->kind].lifetime_ms)
        return IST_SEAL_EXPIRED;
    if (h->issued > o->now + o->skew || o->now > h->expires + o->skew)
        return IST_SEAL_EXPIRED;
    return 0;
}

static int check_epoch(struct opening *o)
{
    if (IST_MUTANT("replay"))
        return 0;
    if (o->h.epoch == 0 || o->h.sequence == 0)
        return IST_SEAL_EPOCH;
    if (o->traits & NAMED ? o->h.audience_epoch != o->self->epoch
                          : o->h.audience_epoch != 0)
        return IST_SEAL_EPOCH;
    /* Durable kinds may rightly wait for a long time in a queue. */
    if (!(o->traits & DURABLE) && o->h.epoch < o->peer->epoch)
        return IST_SEAL_EPOCH;
    return 0;
}

static int check_sequence(struct opening *o)
{
    const struct ist_peer *peer = o->peer;
    uint64_t high = o->h.epoch == peer->epoch ? peer->sequence_high : 0;
    uint64_t sequence = o->h.sequence;

    if (o->traits & DURABLE || IST_MUTANT("replay") || IST_MUTANT("duplicate"))
        return 0;
    if (sequence > high)
        return sequence - high > JUMP_MAX ? IST_SEAL_REPLAY : 0;
    if (high - sequence >= IST_SEAL_WINDOW)
        return IST_SEAL_REPLAY;
    sequence %= IST_SEAL_WINDOW;
    return peer->window[sequence / 64] >> (sequence % 64) & 1 ? IST_SEAL_REPLAY
                                                              : 0;
}

static int check_signature(struct opening *o)
{
    uint8_t text[256];
    size_t len;

    if (!(o->traits & SIGNED))
        return 0;
    len = signed_text(text, o->plain, o->body, o->h.body_size);
    return crypto_sign_verify_detached(o->plain + HEADER_SIZE, text, len,
                                       o->peer->signing_public) == 0
               ? 0
               : IST_SEAL_SIGNATURE;
}

/* Notes that this sequence was seen. Only after all checks have passed, so
 * that a refused message cannot move the window. */
static void slide(struct ist_peer *peer, const struct header *h)
{
    uint64_t from;

    if (h->epoch > peer->epoch) {
        peer->epoch = h->epoch;
        peer->sequence_high = 0;
        memset(peer->window, 0, sizeof(peer->window));
    }
    from = peer->sequence_high + 1;
    if (h->sequence >= from + IST_SEAL_WINDOW)
        memset(peer->window, 0, sizeof(peer->window));
    else
        for (uint64_t s = from; s < h->sequence; s++)
            peer->window[s % IST_SEAL_WINDOW / 64] &= ~(1ULL << (s % 64));
    if (h->sequence > peer->sequence_high)
        peer->sequence_high = h->sequence;
    peer->window[h->sequence % IST_SEAL_WINDOW / 64] |= 1ULL
                                                        << (h->sequence % 64);
}

static int unpack(struct opening *o, struct ist_letter *letter)
{
    uint32_t plain;
    uint8_t *room;

    letter->body = o->body;
    letter->body_size = o->h.body_size;
    if (!(o->h.flags & FLAG_ZSTD))
        return 0;
    if (o->h.body_size < sizeof(plain))
        return IST_SEAL_BODY;
    memcpy(&plain, o->body, sizeof(plain));
    plain = be32toh(plain);
    if (plain > IST_SEAL_BODY_MAX)
        return IST_SEAL_BODY;
    room = ist_arena_alloc(o->arena, plain);
    if (!room)
        return IST_SEAL_BODY;
    if (!decompress(room, plain, o->body + sizeof(plain),
                    o->h.body_size - sizeof(plain)))
        return IST_SEAL_BODY;
    letter->body = room;
    letter->body_size = plain;
    return 0;
}

static void fill_letter(const struct opening *o, struct ist_letter *letter)
{
    const struct header *h = &o->h;

    *letter = (struct ist_letter){
        .kind = (enum ist_letter_kind) h->kind,
        .message = h->message,
        .op = h->op,
        .sender = h->sender,
        .issued_ms = h->issued,
        .expires_ms = h->expires,
        .epoch = h->epoch,
        .sequence = h->sequence,
        .audience_epoch = h->audience_epoch,
    };
    memcpy(letter->request_hash, h->request_hash, sizeof(h->request_hash));
    if (o->traits & ASKS)
        request_hash(letter->hash, o->plain, o->body, h->body_size);
}

int ist_open(const struct ist_self *self, ist_peer_find_fn *find, void *arg,
             uint64_t now_ms, uint64_t skew_ms, const void *data, size_t size,
             struct ist_arena *arena, struct ist_letter *ret,
             struct ist_peer **ret_peer)
{
    static int (*const checks[])(struct opening *) = {
        check_shape, check_pair,     check_box,       check_kind,
        check_flags, check_audience, check_sender,    check_time,
        check_epoch, check_sequence, check_signature,
    };
    struct opening o = {.self = self,
                        .find = find,
                        .find_arg = arg,
                        .now = now_ms,
                        .skew = skew_ms,
                        .data = data,
                        .size = size,
                        .arena = arena};
    struct ist_letter letter;
    int rc;

    for (size_t i = 0; i < IST_COUNT(checks); i++) {
        rc = checks[i](&o);
        if (rc)
            return rc;
    }
    fill_letter(&o, &letter);
    rc = unpack(&o, &letter);
    if (rc)
        return rc;
    if (!(o.traits & DURABLE))
        slide(o.peer, &o.h);
    *ret = letter;
    *ret_peer = o.peer;
    return 0;
}
