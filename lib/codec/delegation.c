#include "codec/delegation.h"

#include "base/arena.h"
#include "codec/statement.h"
#include "codec/unpack.h"

#include "isthmus/v1/bundle.pb-c.h"

#include <errno.h>
#include <string.h>

#define KINDS_MAX 16

#define KIND(name) (1U << IST_KIND_##name)
#define BOTH       (KIND(HEARTBEAT) | KIND(ROTATE) | KIND(CREDIT) | KIND(DATA))

uint32_t ist_delegation_kinds(enum ist_role role)
{
    if (role == IST_ROLE_HUB)
        return BOTH | KIND(COMMAND) | KIND(QUERY) | KIND(CANCEL);
    return BOTH | KIND(ACCEPTED) | KIND(RESULT) | KIND(EVENT) | KIND(ANSWER);
}

const char *ist_delegation_refusal_name(int refusal)
{
    static const char *const names[IST_DELEGATION_REFUSALS] = {
        [IST_DELEGATION_ROOT] = "root",
        [IST_DELEGATION_SHAPE] = "shape",
        [IST_DELEGATION_SIGNATURE] = "signature",
        [IST_DELEGATION_SUBJECT] = "subject",
        [IST_DELEGATION_TIMES] = "times",
        [IST_DELEGATION_KINDS] = "kinds",
        [IST_DELEGATION_KEYS] = "keys",
    };

    if (refusal <= 0 || refusal >= IST_DELEGATION_REFUSALS)
        return "unknown";
    return names[refusal];
}

/* Keys */

bool ist_delegation_signing_key_ok(const uint8_t key[32])
{
    return crypto_core_ed25519_is_valid_point(key) == 1;
}

/* Little endian, below 2^255 - 19. libsodium takes larger ones too. */
static bool is_below_prime(const uint8_t key[32])
{
    if (key[31] != 0x7F)
        return key[31] < 0x7F;
    for (int i = 30; i > 0; i--) {
        if (key[i] != 0xFF)
            return true;
    }
    return key[0] < 0xED;
}

bool ist_delegation_sealing_key_ok(const uint8_t key[32])
{
    /* A point of small order gives zero with any scalar, since all scalars
     * are multiples of 8: one that is no secret finds it as well. */
    static const uint8_t scalar[crypto_box_SECRETKEYBYTES] = {8};
    uint8_t shared[crypto_box_BEFORENMBYTES];

    return is_below_prime(key) && crypto_box_beforenm(shared, key, scalar) == 0;
}

/* Signing */

static size_t pack_body(const struct ist_delegation *d, uint8_t *buf)
{
    Isthmus__V1__Delegation message = ISTHMUS__V1__DELEGATION__INIT;
    uint32_t kinds[32];

    message.subject.data = (uint8_t *) d->subject.b;
    message.subject.len = sizeof(d->subject.b);
    message.signing_key.data = (uint8_t *) d->signing_key;
    message.signing_key.len = sizeof(d->signing_key);
    message.sealing_key.data = (uint8_t *) d->sealing_key;
    message.sealing_key.len = sizeof(d->sealing_key);
    message.kinds = kinds;
    for (uint32_t kind = 0; kind < 32; kind++) {
        if (d->kinds & (1U << kind))
            kinds[message.n_kinds++] = kind;
    }
    message.not_before_ms = d->not_before_ms;
    message.not_after_ms = d->not_after_ms;
    message.serial = d->serial;
    return isthmus__v1__delegation__pack(&message, buf);
}

void ist_delegation_sign(const struct ist_delegation *d,
                         const uint8_t root_secret[crypto_sign_SECRETKEYBYTES],
                         struct ist_sb *out)
{
    Isthmus__V1__SignedDelegation message =
        ISTHMUS__V1__SIGNED_DELEGATION__INIT;
    uint8_t body[IST_DELEGATION_SIZE_MAX], signature[crypto_sign_BYTES];
    char *room;
    int rc;

    message.delegation.data = body;
    message.delegation.len = pack_body(d, body);
    rc = ist_statement_sign(IST_STATEMENT_DELEGATION, body,
                            message.delegation.len, root_secret, signature);
    if (rc) {
        out->rc = rc;
        return;
    }
    message.signature.data = signature;
    message.signature.len = sizeof(signature);
    room = ist_sb_reserve(
        out, isthmus__v1__signed_delegation__get_packed_size(&message));
    if (room)
        out->len +=
            isthmus__v1__signed_delegation__pack(&message, (uint8_t *) room);
}

/* Verifying */

static int refuse(struct ist_err *err, enum ist_delegation_refusal why,
                  const char *text)
{
    return ist_err_set(err, (int) why, "delegation: %s", text);
}

static bool is_signed(const Isthmus__V1__SignedDelegation *message,
                      const uint8_t root[32])
{
    return message->signature.len == crypto_sign_BYTES &&
           ist_statement_verify(
               IST_STATEMENT_DELEGATION, message->delegation.data,
               message->delegation.len, message->signature.data, root);
}

/* The bits of the kinds named; 0 when one is unknown or named twice. */
static uint32_t kind_bits(const Isthmus__V1__Delegation *message)
{
    uint32_t bits = 0;

    if (message->n_kinds > KINDS_MAX)
        return 0;
    for (size_t i = 0; i < message->n_kinds; i++) {
        uint32_t kind = message->kinds[i];

        if (kind == 0 || kind >= IST_KIND_END || bits & (1U << kind))
            return 0;
        bits |= 1U << kind;
    }
    return bits;
}

static bool fill(const Isthmus__V1__Delegation *message,
                 struct ist_delegation *d)
{
    if (message->subject.len != sizeof(d->subject.b) ||
        message->signing_key.len != sizeof(d->signing_key) ||
        message->sealing_key.len != sizeof(d->sealing_key))
        return false;
    memcpy(d->subject.b, message->subject.data, sizeof(d->subject.b));
    memcpy(d->signing_key, message->signing_key.data, sizeof(d->signing_key));
    memcpy(d->sealing_key, message->sealing_key.data, sizeof(d->sealing_key));
    d->kinds = kind_bits(message);
    d->not_before_ms = message->not_before_ms;
    d->not_after_ms = message->not_after_ms;
    d->serial = message->serial;
    return true;
}

static int judge_times(const struct ist_delegation *d, uint64_t now_ms,
                       struct ist_err *err)
{
    if (d->not_before_ms >= d->not_after_ms)
        return refuse(err, IST_DELEGATION_TIMES, "it ends before it begins");
    if (d->not_after_ms - d->not_before_ms > IST_DELEGATION_LIFE_MAX_MS)
        return refuse(err, IST_DELEGATION_TIMES,
                      "it is valid for more than 400 days");
    if (now_ms && now_ms < d->not_before_ms)
        return refuse(err, IST_DELEGATION_TIMES,
                      "it is not valid yet: compare the clocks of both ends");
    if (now_ms && now_ms > d->not_after_ms)
        return refuse(err, IST_DELEGATION_TIMES,
                      "it has run out: its owner must renew it");
    return 0;
}

static int judge(const struct ist_delegation *d, enum ist_role role,
                 uint64_t now_ms, struct ist_err *err)
{
    int rc;

    if (ist_id_is_zero(&d->subject))
        return refuse(err, IST_DELEGATION_SUBJECT, "it names nobody");
    rc = judge_times(d, now_ms, err);
    if (rc)
        return rc;
    if (d->kinds == 0 || d->kinds & ~ist_delegation_kinds(role))
        return refuse(err, IST_DELEGATION_KINDS,
                      "it allows kinds of message that are not of that role");
    if (!ist_delegation_signing_key_ok(d->signing_key))
        return refuse(err, IST_DELEGATION_KEYS, "its signing key is unsafe");
    if (!ist_delegation_sealing_key_ok(d->sealing_key))
        return refuse(err, IST_DELEGATION_KEYS, "its sealing key is unsafe");
    return 0;
}

static int unpack_and_judge(struct ist_arena *arena, const void *data,
                            size_t size, const uint8_t root[32],
                            struct ist_delegation *ret, struct ist_err *err)
{
    const Isthmus__V1__SignedDelegation *outer;
    const Isthmus__V1__Delegation *inner;

    outer = size > IST_DELEGATION_SIZE_MAX
                ? NULL
                : ist_unpack(&isthmus__v1__signed_delegation__descriptor, arena,
                             data, size);
    if (!outer)
        return refuse(err, IST_DELEGATION_SHAPE, "not such a message");
    /* Verified before what was signed is looked into. */
    if (!is_signed(outer, root))
        return refuse(err, IST_DELEGATION_SIGNATURE,
                      "not signed by that root key");
    inner = ist_unpack(&isthmus__v1__delegation__descriptor, arena,
                       outer->delegation.data, outer->delegation.len);
    if (!inner || !fill(inner, ret))
        return refuse(err, IST_DELEGATION_SHAPE, "not such a message");
    return 0;
}

int ist_delegation_verify(const void *data, size_t size, const uint8_t root[32],
                          enum ist_role role, uint64_t now_ms,
                          struct ist_delegation *ret, struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_delegation found;
    int rc;

    ist_arena_init(&arena, 32 * 1024);
    if (!ist_delegation_signing_key_ok(root))
        return refuse(err, IST_DELEGATION_ROOT,
                      "the root key is no valid Ed25519 key");
    rc = unpack_and_judge(&arena, data, size, root, &found, err);
    if (rc == 0)
        rc = judge(&found, role, now_ms, err);
    if (rc == 0)
        *ret = found;
    return rc;
}

void ist_delegation_peer(const struct ist_delegation *d, enum ist_role role,
                         struct ist_peer *ret)
{
    *ret = (struct ist_peer){
        .uid = d->subject,
        .role = role,
        .kinds = d->kinds,
        .not_before_ms = d->not_before_ms,
        .not_after_ms = d->not_after_ms,
    };
    memcpy(ret->signing_public, d->signing_key, sizeof(d->signing_key));
    memcpy(ret->sealing_public, d->sealing_key, sizeof(d->sealing_key));
}
