/* Relays as the hub asks for them, and the service that answers. */
#ifndef UNIT_SERVE_WORD_H
#define UNIT_SERVE_WORD_H

#include "box.h"
#include "codec/statement.h"

#define TARGET "/v2.1/servers?limit=2"

/* What the hub says of a request; a test makes it wrong before it is sent. */
struct word {
    Isthmus__V1__Call call;
    Isthmus__V1__Relay relay;
    Isthmus__V1__Assertion assertion;
    uint8_t hash[32], signature[crypto_sign_BYTES];
    struct ist_arena arena;
    const struct ist_self *signer;
};

static inline void prepare(struct box *box, struct word *word,
                           const char *method, const char *body)
{
    uint64_t now = ist_loop_wall(&box->loop);

    memset(word, 0, sizeof(*word));
    ist_arena_init(&word->arena, 1U << 20);
    isthmus__v1__call__init(&word->call);
    isthmus__v1__relay__init(&word->relay);
    isthmus__v1__assertion__init(&word->assertion);
    word->signer = &box->hub;
    word->assertion.audience = (ProtobufCBinaryData){16, box->site.uid.b};
    word->assertion.user = (char *) "admin";
    word->assertion.service = (char *) "compute";
    word->assertion.method = (char *) (uintptr_t) method;
    word->assertion.target = (char *) TARGET;
    word->assertion.request_id = (char *) "req-1";
    word->assertion.issued_ms = now;
    word->assertion.expires_ms = now + 60000;
    word->relay.window = 1000;
    word->relay.public_url = (char *) "https://hub/r/hkg";
    if (!body)
        body = "";
    word->relay.body =
        (ProtobufCBinaryData){strlen(body), (uint8_t *) (uintptr_t) body};
    crypto_hash_sha256(word->hash, (const uint8_t *) body, strlen(body));
    word->assertion.body_hash = (ProtobufCBinaryData){32, word->hash};
}

static inline void sign(struct word *word)
{
    size_t size;
    uint8_t *bytes = ist_pack(&word->assertion, &word->arena, &size);

    ist_statement_sign(IST_STATEMENT_ASSERTION, bytes, size,
                       word->signer->signing_secret, word->signature);
    word->relay.assertion = (ProtobufCBinaryData){size, bytes};
    word->relay.signature =
        (ProtobufCBinaryData){crypto_sign_BYTES, word->signature};
}

static inline void say(struct box *box, struct word *word)
{
    sign(word);
    word->call.what_case = ISTHMUS__V1__CALL__WHAT_RELAY;
    word->call.relay = &word->relay;
    ask(box, &word->call);
    ist_arena_fini(&word->arena);
}

static inline void ask_relay(struct box *box, const char *method)
{
    struct word word;

    prepare(box, &word, method, NULL);
    say(box, &word);
}

/* The service answers with this head, and then these bytes. */
static inline void answers(int status, const char *headers)
{
    struct os_exchange *exchange = cloud.exchange;

    assert_non_null(exchange);
    exchange->call.status = status;
    ist_sb_init(&exchange->call.header_text, 0);
    ist_sb_puts(&exchange->call.header_text, headers);
    exchange->on_head(exchange);
    ist_sb_fini(&exchange->call.header_text);
}

static inline int gives(const char *text)
{
    return cloud.exchange->on_data(cloud.exchange, text, strlen(text));
}

static inline void ends(int rc)
{
    struct os_exchange *exchange = IST_TAKE(cloud.exchange);

    if (rc)
        ist_err_set(&exchange->op.err, rc, "as the test says");
    ist_op_finish(&exchange->op, rc);
}

static inline void send_data(struct box *box, uint32_t index, const char *text,
                             bool last)
{
    Isthmus__V1__Data data = ISTHMUS__V1__DATA__INIT;
    struct ist_letter letter;

    data.index = index;
    data.bytes =
        (ProtobufCBinaryData){strlen(text), (uint8_t *) (uintptr_t) text};
    data.last = last;
    send_body(box, IST_KIND_DATA, &data.base, &letter);
}

static inline void ask_upload(struct box *box)
{
    struct word word;

    prepare(box, &word, "GET", NULL); /* What the policy lets pass. */
    word.relay.body_follows = true;
    word.relay.body.len = 0;
    word.assertion.body_hash.len = 0;
    say(box, &word);
}

static inline void assert_data(const struct box *box, const char *text)
{
    assert_int_equal(box->reply->data.len, strlen(text));
    assert_memory_equal(box->reply->data.data, text, strlen(text));
}

#endif
