/* The envelope: one sealed message between two principals.
 *
 * The bus is taken to be hostile. What crosses it is a fixed outer part, and a
 * box (X25519-XSalsa20-Poly1305, libsodium's crypto_box with a precomputed
 * key) that holds a fixed header and the body. All checks are made by one
 * function, ist_open(), in one order; whatever fails is refused with a named
 * reason, counted by the caller and never answered.
 *
 * Layout of version 1, numbers big endian:
 *
 *   outer  0  4 "ISTH"      4  1 version   5  3 zero    8  4 size of the box
 *         12 16 pair key id: SHA-256(sender key, audience key), first half
 *         28 24 nonce      52   box (16 bytes MAC, then the sealed part)
 *   inner  0  1 version     1  1 kind      2  2 flags   4  4 body size
 *          8 16 message id 24 16 op id    40 16 sender 56 16 audience
 *         72  8 issued ms  80  8 expires  88  8 epoch of the sender
 *         96  8 sequence  104 32 request hash
 *        136  8 epoch of the audience that the sender has in mind; 0: any
 *        144 64 Ed25519 signature, with flag SIGNED
 *        ...    body, protobuf; with flag ZSTD: 4 bytes plain size, then zstd
 *
 * A message whose effects do not outlive the process (query, answer, cancel,
 * credit, data) names the audience's epoch: recorded and played again after a
 * restart, it meets another epoch. What has lasting effects is kept from
 * repetition by the durable seen-set (store/seen.h) instead. */
#ifndef CODEC_SEAL_H
#define CODEC_SEAL_H

#include "base/arena.h"
#include "base/id.h"
#include "base/sb.h"

#include <sodium.h>
#include <stdint.h>

#define IST_SEAL_BODY_MAX (1024U * 1024)
#define IST_SEAL_OVERHEAD 276U /* Most that sealing adds to a body. */
#define IST_SEAL_MAX      (IST_SEAL_BODY_MAX + IST_SEAL_OVERHEAD)

enum ist_letter_kind {
    IST_KIND_COMMAND = 1,
    IST_KIND_ACCEPTED,
    IST_KIND_RESULT,
    IST_KIND_EVENT,
    IST_KIND_HEARTBEAT,
    IST_KIND_QUERY,
    IST_KIND_ANSWER,
    IST_KIND_ROTATE,
    IST_KIND_CANCEL,
    IST_KIND_CREDIT,
    IST_KIND_DATA,
    IST_KIND_END,
};

enum ist_role { IST_ROLE_HUB = 1, IST_ROLE_SITE };

/* Why ist_open() refused. Positive outcomes, also names of a metric label. */
enum ist_seal_refusal {
    IST_SEAL_SHAPE = 1, /* Size, magic, version, zero bytes, lengths. */
    IST_SEAL_UNKNOWN,   /* No such pair of keys. */
    IST_SEAL_FORGED,    /* The box does not open. */
    IST_SEAL_KIND,      /* Kind unknown, or not for that role or key. */
    IST_SEAL_FLAGS,     /* Unknown flag; signature missing or not allowed. */
    IST_SEAL_AUDIENCE,  /* Not for us. */
    IST_SEAL_SENDER,    /* Not the owner of the key, or no longer valid. */
    IST_SEAL_EXPIRED,   /* Too late, too early, or living too long. */
    IST_SEAL_EPOCH,     /* An older sender, or not our own epoch. */
    IST_SEAL_REPLAY,    /* Sequence or message id seen before. */
    IST_SEAL_SIGNATURE, /* Signature wrong. */
    IST_SEAL_BODY,      /* Compressed body that does not unpack. */
    IST_SEAL_REFUSALS,
};

/* "shape", "replay"...; "unknown" for another number. */
const char *ist_seal_refusal_name(int refusal);

/* Online keys of one principal. Wiped by ist_self_wipe(). */
struct ist_self {
    struct ist_id uid;
    enum ist_role role;
    uint64_t epoch; /* Rises with every start; durable. */
    uint8_t signing_public[crypto_sign_PUBLICKEYBYTES];
    uint8_t signing_secret[crypto_sign_SECRETKEYBYTES];
    uint8_t sealing_public[crypto_box_PUBLICKEYBYTES];
    uint8_t sealing_secret[crypto_box_SECRETKEYBYTES];
};

/* Makes both online key pairs from the random source. uid, role, epoch are
 * the caller's. */
void ist_self_make_keys(struct ist_self *);
void ist_self_wipe(struct ist_self *);

#define IST_SEAL_WINDOW 4096 /* Sequences that may overtake each other. */

/* The other end of a pair, and what was last heard from it. */
struct ist_peer {
    struct ist_id uid;
    enum ist_role role;
    uint8_t signing_public[crypto_sign_PUBLICKEYBYTES];
    uint8_t sealing_public[crypto_box_PUBLICKEYBYTES];
    uint32_t kinds; /* Bit per kind that its delegation allows. */
    uint64_t not_before_ms, not_after_ms; /* Of its delegation. */

    /* Made by ist_peer_join(). */
    uint8_t shared[crypto_box_BEFORENMBYTES];
    uint8_t id_out[16], id_in[16]; /* Pair key ids. */

    /* Kept by seal and open. The caller may set 'epoch' from what it stored,
     * and stores it again when it rises. */
    uint64_t epoch;         /* Highest seen of the peer; 0: none yet. */
    uint64_t sequence_out;  /* Last one used. */
    uint64_t sequence_high; /* Highest seen of 'epoch'. */
    uint64_t window[IST_SEAL_WINDOW / 64];
};

/* Precomputes the pair key. -EINVAL: a key that no honest peer has (small
 * order, or not canonical). */
int ist_peer_join(struct ist_peer *, const struct ist_self *);
void ist_peer_wipe(struct ist_peer *);

/* What stands in the header. */
struct ist_letter {
    enum ist_letter_kind kind;
    struct ist_id message, op, sender;
    uint64_t issued_ms, expires_ms, epoch, sequence;
    uint64_t audience_epoch;
    uint8_t request_hash[32]; /* Of the request, in answers and results. */

    /* Filled by ist_open(): hash of this message (header and body), which its
     * answers must carry. ist_seal() fills it too. */
    uint8_t hash[32];
    const void *body; /* In the arena given to ist_open(). */
    size_t body_size;

    /* For ist_seal(), borrowed: of the pieces of one body, how many more are
     * not worth compressing, because the last one tried was not. From 0; kept
     * by ist_seal(). NULL: each is tried. */
    uint8_t *n_dense;
};

/* Seals 'letter' for 'peer' and appends it to 'out'. The caller sets kind, op,
 * request_hash, body, expires_ms and audience_epoch; message id, sender,
 * issue time, epoch and sequence are filled in. Bodies over 4 KiB are
 * compressed when that saves a tenth. A command is signed.
 * -EMSGSIZE: body over the cap. */
int ist_seal(const struct ist_self *, struct ist_peer *, uint64_t now_ms,
             struct ist_letter *, struct ist_sb *out);

/* Finds whose pair key id a message names, without trusting it: NULL when the
 * message has no such id or nobody has it. */
typedef struct ist_peer *ist_peer_find_fn(void *arg, const uint8_t id[16]);

/* Gives back what compressing has kept for the next time: some 600 KiB. For
 * whoever has been idle for a while. */
void ist_seal_trim(void);

/* Opens and checks, in the order of the list above; 'skew_ms' is the clock
 * error to bear. 0, or the first refusal. On 0 the peer's window has moved:
 * the same message again is a replay. The body is in 'arena', also when it
 * was compressed (its cap bounds that). '*ret_peer' is who sent it. */
int ist_open(const struct ist_self *, ist_peer_find_fn *, void *arg,
             uint64_t now_ms, uint64_t skew_ms, const void *data, size_t size,
             struct ist_arena *, struct ist_letter *ret,
             struct ist_peer **ret_peer);

#endif
