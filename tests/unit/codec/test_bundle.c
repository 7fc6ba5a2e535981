#include "codec/bundle.h"

#include "../scratch.h"
#include "base/rand.h"
#include "codec/armour.h"
#include "codec/x509.h"

#include "isthmus/v1/bundle.pb-c.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW 1800000000000ULL
#define DAY (24ULL * 3600 * 1000)
#define URL "amqps://bus.example.net:5671/%2Fisthmus"

/* A site and a hub, and what they would write. */
struct box {
    uint8_t root[32], root_secret[64];
    struct ist_delegation delegation;
    struct ist_sb packed, request, key, ca, ca_key, certificate, text;
    struct ist_bundle_site site;
    struct ist_bundle_hub hub;
    uint8_t key_hash[32];
    struct ist_arena arena;
    struct ist_bundle_site got;
    struct ist_bundle_hub got_hub;
    struct ist_err err;
};

static void sign(struct box *box)
{
    ist_sb_reset(&box->packed);
    ist_delegation_sign(&box->delegation, box->root_secret, &box->packed);
    box->site.signed_delegation = box->hub.signed_delegation = box->packed.data;
    box->site.signed_size = box->hub.signed_size = box->packed.len;
}

static void make_keys(struct box *box, enum ist_role role)
{
    struct ist_self self;
    uint8_t seed[32];

    ist_rand_bytes(seed, sizeof(seed));
    crypto_sign_seed_keypair(box->root, box->root_secret, seed);
    memcpy(box->site.root, box->root, 32);
    memcpy(box->hub.root, box->root, 32);
    ist_self_make_keys(&self);
    box->delegation = (struct ist_delegation){
        .subject = ist_id_random(),
        .kinds = ist_delegation_kinds(role),
        .not_before_ms = NOW - DAY,
        .not_after_ms = NOW + 89 * DAY,
        .serial = 1,
    };
    memcpy(box->delegation.signing_key, self.signing_public, 32);
    memcpy(box->delegation.sealing_key, self.sealing_public, 32);
    sign(box);
}

static void issue(struct box *box, enum ist_x509_use use, uint64_t now_ms)
{
    struct ist_x509_leaf leaf = {.use = use,
                                 .cn = "hkg",
                                 .uri = "spiffe://eu/site/00ff",
                                 .now_ms = now_ms,
                                 .days = 30};

    ist_sb_reset(&box->certificate);
    assert_int_equal(ist_x509_issue(box->ca.data, box->ca.len, box->ca_key.data,
                                    box->ca_key.len, box->request.data,
                                    box->request.len, &leaf, &box->certificate,
                                    &box->err),
                     0);
    box->hub.bus_certificate = box->certificate.data;
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));
    struct ist_sb *const all[] = {&box->packed, &box->request,     &box->key,
                                  &box->ca,     &box->certificate, &box->text,
                                  &box->ca_key};

    assert_true(sodium_init() >= 0);
    for (size_t i = 0; i < IST_COUNT(all); i++)
        ist_sb_init(all[i], 0);
    ist_arena_init(&box->arena, 256 * 1024);
    make_keys(box, IST_ROLE_SITE);
    ist_x509_key_make(&box->key, NULL);
    ist_x509_request_make(box->key.data, box->key.len, "hkg", &box->request,
                          NULL);
    ist_x509_request_hash(box->request.data, box->request.len, box->key_hash,
                          NULL);
    ist_x509_ca_make("bus", NOW, 3650, &box->ca_key, &box->ca, NULL);
    box->site.name = "hkg";
    box->site.request = box->request.data;
    box->site.request_size = box->request.len;
    box->hub.federation = "eu";
    box->hub.site = "hkg";
    box->hub.bus_url = URL;
    box->hub.bus_ca = box->ca.data;
    box->hub.lowest_epoch = 42;
    issue(box, IST_X509_CLIENT, NOW);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    ist_sb_fini(&box->packed);
    ist_sb_fini(&box->request);
    ist_sb_fini(&box->key);
    ist_sb_fini(&box->ca);
    ist_sb_fini(&box->ca_key);
    ist_sb_fini(&box->certificate);
    ist_sb_fini(&box->text);
    ist_arena_fini(&box->arena);
    free(box);
    return 0;
}

static int parse_text(struct box *box, const char *text, size_t size)
{
    ist_arena_reset(&box->arena);
    return ist_bundle_site_parse(text, size, NOW, &box->arena, &box->got,
                                 &box->err);
}

static int parse_site(struct box *box)
{
    ist_sb_reset(&box->text);
    ist_bundle_site_make(&box->site, &box->text);
    assert_int_equal(box->text.rc, 0);
    return parse_text(box, box->text.data, box->text.len);
}

static int parse_hub(struct box *box)
{
    ist_sb_reset(&box->text);
    ist_bundle_hub_make(&box->hub, &box->text);
    assert_int_equal(box->text.rc, 0);
    ist_arena_reset(&box->arena);
    return ist_bundle_hub_parse(box->text.data, box->text.len, NOW,
                                box->key_hash, &box->arena, &box->got_hub,
                                &box->err);
}

/* Both, whole */

static void test_site_there_and_back(void **state)
{
    struct box *box = *state;
    struct ist_peer peer;

    assert_int_equal(parse_site(box), 0);
    assert_string_equal(box->got.name, "hkg");
    assert_memory_equal(box->got.root, box->root, 32);
    assert_memory_equal(&box->got.delegation, &box->delegation,
                        sizeof(box->delegation));
    assert_int_equal(box->got.request_size, box->request.len);
    assert_memory_equal(box->got.request, box->request.data, box->request.len);

    ist_delegation_peer(&box->got.delegation, IST_ROLE_SITE, &peer);
    assert_true(ist_id_eq(&peer.uid, &box->delegation.subject));
    assert_int_equal(peer.role, IST_ROLE_SITE);
    assert_int_equal(peer.kinds, ist_delegation_kinds(IST_ROLE_SITE));
    assert_int_equal(peer.not_after_ms, NOW + 89 * DAY);
    assert_memory_equal(peer.sealing_public, box->delegation.sealing_key, 32);
    assert_memory_equal(peer.signing_public, box->delegation.signing_key, 32);
}

static void test_hub_there_and_back(void **state)
{
    struct box *box = *state;

    make_keys(box, IST_ROLE_HUB);
    assert_int_equal(parse_hub(box), 0);
    assert_string_equal(box->got_hub.federation, "eu");
    assert_string_equal(box->got_hub.site, "hkg");
    assert_string_equal(box->got_hub.bus_url, URL);
    assert_string_equal(box->got_hub.bus_ca, box->ca.data);
    assert_string_equal(box->got_hub.bus_certificate, box->certificate.data);
    assert_int_equal(box->got_hub.lowest_epoch, 42);
    assert_memory_equal(box->got_hub.root, box->root, 32);
}

static void test_roles_are_not_mixed(void **state)
{
    struct box *box = *state;

    /* A site's keys in a hub's bundle, and the reverse. */
    assert_int_equal(parse_hub(box), IST_BUNDLE_KINDS);
    make_keys(box, IST_ROLE_HUB);
    assert_int_equal(parse_site(box), IST_BUNDLE_KINDS);
    /* A bundle of the other kind. */
    ist_sb_reset(&box->text);
    ist_bundle_hub_make(&box->hub, &box->text);
    assert_int_equal(parse_text(box, box->text.data, box->text.len),
                     IST_BUNDLE_ARMOUR);
}

/* Damage */

static void test_each_bit_counts(void **state)
{
    struct box *box = *state;
    struct ist_sb plain;

    assert_int_equal(parse_site(box), 0);
    ist_sb_init(&plain, 0);
    assert_int_equal(ist_armour_read(box->text.data, box->text.len,
                                     "ISTHMUS SITE BUNDLE", &plain),
                     0);
    for (size_t bit = 0; bit < plain.len * 8; bit++) {
        plain.data[bit / 8] =
            (char) ((unsigned char) plain.data[bit / 8] ^ (1U << (bit % 8)));
        ist_sb_reset(&box->text);
        ist_armour_write(&box->text, "ISTHMUS SITE BUNDLE", plain.data,
                         plain.len);
        assert_true(parse_text(box, box->text.data, box->text.len) > 0);
        plain.data[bit / 8] =
            (char) ((unsigned char) plain.data[bit / 8] ^ (1U << (bit % 8)));
    }
    for (size_t size = 0; size < plain.len; size++) {
        ist_sb_reset(&box->text);
        ist_armour_write(&box->text, "ISTHMUS SITE BUNDLE", plain.data, size);
        assert_true(parse_text(box, box->text.data, box->text.len) > 0);
    }
    ist_sb_fini(&plain);
}

static void test_armour(void **state)
{
    struct box *box = *state;
    static const char *const bad[] = {
        "",
        "-",
        "hello",
        "-----BEGIN ISTHMUS SITE BUNDLE-----",
        "-----BEGIN ISTHMUS SITE BUNDLE-----\n",
        "-----BEGIN ISTHMUS SITE BUNDLE-----\nAAAA\n-----END ISTHMUS SITE",
        "-----BEGIN ISTHMUS SITE BUNDLE-----\nAA=A\n"
        "-----END ISTHMUS SITE BUNDLE-----\n",
        "-----BEGIN ISTHMUS SITE BUNDLE-----\nAAA\n"
        "-----END ISTHMUS SITE BUNDLE-----\n",
        "-----BEGIN ISTHMUS SITE BUNDLE-----\nAA\1A\n"
        "-----END ISTHMUS SITE BUNDLE-----\n",
        "-----BEGIN ISTHMUS HUB BUNDLE-----\nAAAA\n"
        "-----END ISTHMUS HUB BUNDLE-----\n",
    };
    struct ist_sb text;

    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_int_equal(parse_text(box, bad[i], strlen(bad[i])),
                         IST_BUNDLE_ARMOUR);
    assert_int_equal(parse_site(box), 0);
    ist_sb_init(&text, 0);
    /* As mail may bring it. */
    ist_sb_puts(&text, " \r\n\t");
    for (const char *c = box->text.data; *c; c++) {
        if (*c == '\n')
            ist_sb_putc(&text, '\r');
        ist_sb_putc(&text, *c);
    }
    ist_sb_puts(&text, "\r\n\n  ");
    assert_int_equal(parse_text(box, text.data, text.len), 0);
    /* But nothing else with it. */
    ist_sb_puts(&text, "x");
    assert_int_equal(parse_text(box, text.data, text.len), IST_BUNDLE_ARMOUR);
    ist_sb_reset(&text);
    ist_sb_printf(&text, "%s%s", box->text.data, box->text.data);
    assert_int_equal(parse_text(box, text.data, text.len), IST_BUNDLE_ARMOUR);
    ist_sb_reset(&text);
    for (size_t i = 0; i <= IST_BUNDLE_TEXT_MAX; i++)
        ist_sb_putc(&text, ' ');
    assert_int_equal(parse_text(box, text.data, text.len), IST_BUNDLE_ARMOUR);
    ist_sb_fini(&text);
}

static void test_too_large(void **state)
{
    struct box *box = *state;
    char *much = calloc(1, IST_BUNDLE_MAX);

    box->site.request = much;
    box->site.request_size = IST_BUNDLE_MAX;
    ist_sb_reset(&box->text);
    ist_bundle_site_make(&box->site, &box->text);
    assert_int_equal(box->text.rc, -ENOBUFS);
    /* Written by somebody else: within the cap of the file, over ours. */
    box->site.request_size = IST_X509_MAX + 1;
    assert_int_equal(parse_site(box), IST_BUNDLE_REQUEST);
    free(much);
}

static void test_small_arena(void **state)
{
    struct box *box = *state;
    struct ist_arena small;

    assert_int_equal(parse_site(box), 0);
    for (size_t cap = 0; cap < 4096; cap += 64) {
        int rc;

        ist_arena_init(&small, cap);
        rc = ist_bundle_site_parse(box->text.data, box->text.len, NOW, &small,
                                   &box->got, &box->err);
        assert_true(rc == 0 || rc == -ENOMEM);
        ist_arena_fini(&small);
    }
}

/* Names and keys */

static void test_names(void **state)
{
    static const char *const bad[] = {"", "H", "hub-a", "res", "a.b", "h1"};
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        box->site.name = bad[i];
        assert_int_equal(parse_site(box), IST_BUNDLE_NAME);
    }
    make_keys(box, IST_ROLE_HUB);
    box->hub.federation = "a b";
    assert_int_equal(parse_hub(box), IST_BUNDLE_NAME);
    box->hub.federation = "eu";
    box->hub.site = "../x";
    assert_int_equal(parse_hub(box), IST_BUNDLE_NAME);
}

static void set_hex(uint8_t key[32], const char *hex)
{
    assert_true(ist_hex_parse(hex, strlen(hex), key, 32));
}

/* The eight points of small order, and encodings that are not canonical. */
static const char *const weak_ed25519[] = {
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

static const char *const weak_x25519[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    /* p, p + 1, 2^255 - 1, and a good key with the top bit set. */
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0900000000000000000000000000000000000000000000000000000000000080",
};

static void test_weak_keys(void **state)
{
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(weak_ed25519); i++) {
        set_hex(box->site.root, weak_ed25519[i]);
        assert_int_equal(parse_site(box), IST_BUNDLE_ROOT);
    }
    memcpy(box->site.root, box->root, 32);
    for (size_t i = 0; i < IST_COUNT(weak_ed25519); i++) {
        make_keys(box, IST_ROLE_SITE);
        set_hex(box->delegation.signing_key, weak_ed25519[i]);
        sign(box);
        assert_int_equal(parse_site(box), IST_BUNDLE_KEYS);
    }
    for (size_t i = 0; i < IST_COUNT(weak_x25519); i++) {
        make_keys(box, IST_ROLE_SITE);
        set_hex(box->delegation.sealing_key, weak_x25519[i]);
        sign(box);
        assert_int_equal(parse_site(box), IST_BUNDLE_KEYS);
    }
    /* The largest canonical one is accepted by that check alone. */
    set_hex(box->delegation.sealing_key,
            "ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    assert_true(ist_delegation_sealing_key_ok(box->delegation.sealing_key));
}

static void test_signature(void **state)
{
    struct box *box = *state;
    uint8_t other[32], other_secret[64], seed[32] = {1};

    crypto_sign_seed_keypair(other, other_secret, seed);
    memcpy(box->site.root, other, 32);
    assert_int_equal(parse_site(box), IST_BUNDLE_SIGNATURE);
    memcpy(box->site.root, box->root, 32);
    memcpy(box->root_secret, other_secret, 64);
    sign(box);
    assert_int_equal(parse_site(box), IST_BUNDLE_SIGNATURE);
    box->site.signed_size = 0;
    assert_int_equal(parse_site(box), IST_BUNDLE_SIGNATURE);
}

static void test_delegation_fields(void **state)
{
    const struct {
        uint32_t kinds;
        uint64_t from, until;
        bool nobody;
        int rc;
    } cases[] = {
        {1U << IST_KIND_ANSWER, NOW - DAY, NOW + DAY, false, 0},
        {1U << IST_KIND_ANSWER, NOW, NOW + 1, false, 0},
        {1U << IST_KIND_ANSWER, NOW - DAY, NOW + DAY, true, IST_BUNDLE_SUBJECT},
        {1U << IST_KIND_ANSWER, NOW - DAY, NOW - 1, false, IST_BUNDLE_TIMES},
        {1U << IST_KIND_ANSWER, NOW + 1, NOW + DAY, false, IST_BUNDLE_TIMES},
        {1U << IST_KIND_ANSWER, NOW, NOW, false, IST_BUNDLE_TIMES},
        {1U << IST_KIND_ANSWER, NOW + DAY, NOW - DAY, false, IST_BUNDLE_TIMES},
        {1U << IST_KIND_ANSWER, NOW - DAY, NOW + 400 * DAY, false,
         IST_BUNDLE_TIMES},
        {1U << IST_KIND_ANSWER, 0, UINT64_MAX, false, IST_BUNDLE_TIMES},
        {0, NOW - DAY, NOW + DAY, false, IST_BUNDLE_KINDS},
        {1U, NOW - DAY, NOW + DAY, false, IST_BUNDLE_KINDS},
        {1U << IST_KIND_END, NOW - DAY, NOW + DAY, false, IST_BUNDLE_KINDS},
        {1U << IST_KIND_COMMAND | 1U << IST_KIND_ANSWER, NOW - DAY, NOW + DAY,
         false, IST_BUNDLE_KINDS},
    };
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        make_keys(box, IST_ROLE_SITE);
        box->delegation.kinds = cases[i].kinds;
        box->delegation.not_before_ms = cases[i].from;
        box->delegation.not_after_ms = cases[i].until;
        if (cases[i].nobody)
            box->delegation.subject = (struct ist_id){{0}};
        sign(box);
        assert_int_equal(parse_site(box), cases[i].rc);
        if (cases[i].rc)
            assert_int_equal(box->err.code, cases[i].rc);
    }
}

static void test_old_bundle_without_clock(void **state)
{
    struct box *box = *state;

    box->delegation.not_before_ms = NOW - 100 * DAY;
    box->delegation.not_after_ms = NOW - 10 * DAY;
    sign(box);
    assert_int_equal(parse_site(box), IST_BUNDLE_TIMES);
    assert_int_equal(ist_bundle_site_parse(box->text.data, box->text.len, 0,
                                           &box->arena, &box->got, &box->err),
                     0);
}

/* Certificate requests */

/* Makes a request with what is wrong about it, and puts it into the bundle. */
static void request(struct box *box, EVP_PKEY *key, const char *const *cns,
                    const char *extension, const char *value, bool sign_it)
{
    X509_REQ *req = X509_REQ_new();
    unsigned char *der = NULL;
    int size;

    for (; *cns; cns++)
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN",
                                   MBSTRING_UTF8, (const unsigned char *) *cns,
                                   -1, -1, 0);
    X509_REQ_set_pubkey(req, key);
    if (extension) {
        STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();

        sk_X509_EXTENSION_push(
            list,
            X509V3_EXT_conf_nid(NULL, NULL, OBJ_sn2nid(extension), value));
        X509_REQ_add_extensions(req, list);
        sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    }
    X509_REQ_sign(req, key,
                  EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256());
    if (!sign_it) {
        EVP_PKEY *other = EVP_EC_gen("P-256");

        X509_REQ_set_pubkey(req, other);
        EVP_PKEY_free(other);
    }
    size = i2d_X509_REQ(req, &der);
    assert_true(size > 0);
    ist_sb_reset(&box->request);
    ist_sb_add(&box->request, der, (size_t) size);
    box->site.request = box->request.data;
    box->site.request_size = box->request.len;
    OPENSSL_free(der);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
}

static void test_requests(void **state)
{
    static const char *const just[] = {"hkg", NULL};
    static const char *const other[] = {"lon", NULL};
    static const char *const two[] = {"hkg", "lon", NULL};
    static const char *const none[] = {NULL};
    static const char *const longer[] = {"hkgx", NULL};
    struct box *box = *state;

    request(box, EVP_EC_gen("P-256"), just, NULL, NULL, true);
    assert_int_equal(parse_site(box), 0);
    request(box, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), just, NULL, NULL,
            true);
    assert_int_equal(parse_site(box), 0);

    const struct {
        EVP_PKEY *key;
        const char *const *cns;
        const char *extension, *value;
        bool sign_it;
    } bad[] = {
        {EVP_EC_gen("P-256"), other, NULL, NULL, true},
        {EVP_EC_gen("P-256"), two, NULL, NULL, true},
        {EVP_EC_gen("P-256"), none, NULL, NULL, true},
        {EVP_EC_gen("P-256"), longer, NULL, NULL, true},
        {EVP_EC_gen("P-256"), just, NULL, NULL, false},
        {EVP_EC_gen("P-256"), just, "basicConstraints", "CA:TRUE", true},
        {EVP_EC_gen("P-256"), just, "subjectAltName", "DNS:hub", true},
        {EVP_EC_gen("P-256"), just, "subjectAltName",
         "URI:spiffe://eu/hub/1,URI:spiffe://eu/site/2", true},
        {EVP_EC_gen("P-384"), just, NULL, NULL, true},
        {EVP_EC_gen("secp256k1"), just, NULL, NULL, true},
        {EVP_RSA_gen(512), just, NULL, NULL, true},
        {EVP_RSA_gen(2048), just, NULL, NULL, true},
    };

    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        assert_non_null(bad[i].key);
        request(box, bad[i].key, bad[i].cns, bad[i].extension, bad[i].value,
                bad[i].sign_it);
        assert_int_equal(parse_site(box), IST_BUNDLE_REQUEST);
        assert_true(box->err.text[0] != '\0');
    }
    ist_sb_reset(&box->request);
    ist_sb_puts(&box->request, "no DER");
    box->site.request = box->request.data;
    box->site.request_size = box->request.len;
    assert_int_equal(parse_site(box), IST_BUNDLE_REQUEST);
    box->site.request_size = 0;
    assert_int_equal(parse_site(box), IST_BUNDLE_REQUEST);
}

/* Addresses and certificates */

static void test_urls(void **state)
{
    static const char *const good[] = {
        "amqps://a",
        "amqps://bus.example.net:5671/%2Fisthmus",
        "amqps://[::1]:5671",
        "amqps://10.0.0.1:1/x",
        "amqps://a:5671/%2Fisthmus,amqps://b:5671/%2Fisthmus",
    };
    static const char *const bad[] = {
        "",
        "amqp://a",
        "amqps://",
        "amqps://:5671",
        "amqps://u:secret@a",
        "amqps://u@a",
        "amqps://a:0",
        "amqps://a:65536",
        "amqps://a:",
        "amqps://a:1x",
        "amqps://a/b/c",
        "amqps://a\n",
        "amqps://a?x=1",
        "amqps://a#x",
        "amqps://a,",
        "amqps://a,b",
        " amqps://a",
        "amqps://[::1",
        "amqps://[]",
        "amqps://a\x1b[31m",
    };
    struct box *box = *state;

    make_keys(box, IST_ROLE_HUB);
    for (size_t i = 0; i < IST_COUNT(good); i++) {
        box->hub.bus_url = good[i];
        assert_int_equal(parse_hub(box), 0);
    }
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        box->hub.bus_url = bad[i];
        assert_int_equal(parse_hub(box), IST_BUNDLE_URL);
    }
}

static void test_certificates(void **state)
{
    struct box *box = *state;
    struct ist_sb key, ca;

    make_keys(box, IST_ROLE_HUB);
    /* For another use, too old, for another key, by another CA, of no CA. */
    issue(box, IST_X509_SERVER, NOW);
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    issue(box, IST_X509_CLIENT, NOW - 31 * DAY);
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    issue(box, IST_X509_CLIENT, NOW);
    assert_int_equal(parse_hub(box), 0);
    box->key_hash[0] ^= 1;
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    box->key_hash[0] ^= 1;
    box->hub.site = "lon";
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    box->hub.site = "hkg";
    box->hub.bus_ca = box->certificate.data;
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    assert_non_null(strstr(box->err.text, "its CA is none"));
    ist_sb_init(&key, 0);
    ist_sb_init(&ca, 0);
    assert_int_equal(ist_x509_ca_make("bus", NOW, 3650, &key, &ca, NULL), 0);
    box->hub.bus_ca = ca.data;
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    ist_sb_fini(&key);
    ist_sb_fini(&ca);
    box->hub.bus_ca = "";
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    box->hub.bus_ca = "-----BEGIN CERTIFICATE-----\nAAAA\n"
                      "-----END CERTIFICATE-----\n";
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
    box->hub.bus_ca = box->ca.data;
    box->hub.bus_certificate = box->key.data;
    assert_int_equal(parse_hub(box), IST_BUNDLE_CERTIFICATE);
}

static void test_certificate_contents(void **state)
{
    static const char *const hosts[] = {"bus.example.net", "127.0.0.1", "::1",
                                        NULL};
    static const char *const evil[] = {"a,URI:x", NULL};
    struct box *box = *state;
    struct ist_x509_info info;
    struct ist_x509_leaf leaf = {.use = IST_X509_SERVER,
                                 .cn = "hkg",
                                 .hosts = hosts,
                                 .now_ms = NOW,
                                 .days = 30};
    struct ist_sb *pem = &box->certificate;

    assert_int_equal(ist_x509_read(pem->data, pem->len, &info, &box->err), 0);
    assert_string_equal(info.cn, "hkg");
    assert_int_equal(info.not_after_ms, NOW + 30 * DAY);
    assert_int_equal(info.not_before_ms, NOW - 3600 * 1000);
    assert_false(info.is_ca);
    assert_memory_equal(info.key_hash, box->key_hash, 32);

    ist_sb_reset(pem);
    assert_int_equal(ist_x509_issue(box->ca.data, box->ca.len, box->ca_key.data,
                                    box->ca_key.len, box->request.data,
                                    box->request.len, &leaf, pem, &box->err),
                     0);
    for (size_t i = 0; hosts[i]; i++)
        assert_true(ist_x509_has_host(pem->data, pem->len, hosts[i]));
    assert_false(ist_x509_has_host(pem->data, pem->len, "127.0.0.2"));
    assert_false(ist_x509_has_host(pem->data, pem->len, "example.net"));
    leaf.hosts = evil;
    assert_int_equal(ist_x509_issue(box->ca.data, box->ca.len, box->ca_key.data,
                                    box->ca_key.len, box->request.data,
                                    box->request.len, &leaf, pem, &box->err),
                     -EINVAL);
    /* The CA's key must be the CA's. */
    leaf.hosts = NULL;
    assert_int_equal(ist_x509_issue(box->ca.data, box->ca.len, box->key.data,
                                    box->key.len, box->request.data,
                                    box->request.len, &leaf, pem, &box->err),
                     -EINVAL);
}

static void test_refusal_names(void **state)
{
    (void) state;
    for (int i = 1; i < IST_BUNDLE_REFUSALS; i++)
        assert_string_not_equal(ist_bundle_refusal_name(i), "unknown");
    assert_string_equal(ist_bundle_refusal_name(0), "unknown");
    assert_string_equal(ist_bundle_refusal_name(IST_BUNDLE_REFUSALS),
                        "unknown");
    for (int i = 1; i < IST_DELEGATION_REFUSALS; i++)
        assert_string_equal(ist_delegation_refusal_name(i),
                            ist_bundle_refusal_name(i + IST_BUNDLE_ROOT - 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_site_there_and_back),
        TEST(test_hub_there_and_back),
        TEST(test_roles_are_not_mixed),
        TEST(test_each_bit_counts),
        TEST(test_armour),
        TEST(test_too_large),
        TEST(test_small_arena),
        TEST(test_names),
        TEST(test_weak_keys),
        TEST(test_signature),
        TEST(test_delegation_fields),
        TEST(test_old_bundle_without_clock),
        TEST(test_requests),
        TEST(test_urls),
        TEST(test_certificates),
        TEST(test_certificate_contents),
        TEST(test_refusal_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
