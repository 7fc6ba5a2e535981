#include "codec/bundle.h"

#include "base/parse.h"
#include "codec/armour.h"
#include "codec/keyfile.h"
#include "codec/unpack.h"
#include "codec/x509.h"

#include "isthmus/v1/bundle.pb-c.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SITE_LABEL "ISTHMUS SITE BUNDLE"
#define HUB_LABEL  "ISTHMUS HUB BUNDLE"

/* A delegation's refusals keep their order inside ours. */
static_assert(IST_BUNDLE_KEYS - IST_BUNDLE_ROOT ==
                  IST_DELEGATION_KEYS - IST_DELEGATION_ROOT,
              "same order");

const char *ist_bundle_refusal_name(int refusal)
{
    static const char *const names[IST_BUNDLE_REFUSALS] = {
        [IST_BUNDLE_ARMOUR] = "armour",
        [IST_BUNDLE_MESSAGE] = "message",
        [IST_BUNDLE_NAME] = "name",
        [IST_BUNDLE_ROOT] = "root",
        [IST_BUNDLE_SHAPE] = "shape",
        [IST_BUNDLE_SIGNATURE] = "signature",
        [IST_BUNDLE_SUBJECT] = "subject",
        [IST_BUNDLE_TIMES] = "times",
        [IST_BUNDLE_KINDS] = "kinds",
        [IST_BUNDLE_KEYS] = "keys",
        [IST_BUNDLE_REQUEST] = "request",
        [IST_BUNDLE_URL] = "url",
        [IST_BUNDLE_CERTIFICATE] = "certificate",
    };

    if (refusal <= 0 || refusal >= IST_BUNDLE_REFUSALS)
        return "unknown";
    return names[refusal];
}

static int refuse(struct ist_err *err, enum ist_bundle_refusal why,
                  const char *text)
{
    return ist_err_set(err, (int) why, "bundle: %s", text);
}

/* Making */

static ProtobufCBinaryData bytes(const void *data, size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *) data};
}

/* The signed delegation is already packed: it is put in as it is, by reading
 * its two fields back. */
static Isthmus__V1__SignedDelegation *
unpack_signed(const void *data, size_t size, struct ist_arena *arena)
{
    return ist_unpack(&isthmus__v1__signed_delegation__descriptor, arena, data,
                      size);
}

static void put(const void *message, const char *label, struct ist_arena *arena,
                struct ist_sb *out)
{
    size_t size = 0;
    void *data = ist_pack(message, arena, &size);

    if (data && size <= IST_BUNDLE_MAX)
        ist_armour_write(out, label, data, size);
    else if (out->rc == 0)
        out->rc = -ENOBUFS;
}

void ist_bundle_site_make(const struct ist_bundle_site *bundle,
                          struct ist_sb *out)
{
    Isthmus__V1__SiteBundle message = ISTHMUS__V1__SITE_BUNDLE__INIT;
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;

    ist_arena_init(&arena, 4 * IST_BUNDLE_MAX);
    message.name = (char *) bundle->name;
    message.root_key = bytes(bundle->root, sizeof(bundle->root));
    message.delegation =
        unpack_signed(bundle->signed_delegation, bundle->signed_size, &arena);
    message.certificate_request = bytes(bundle->request, bundle->request_size);
    put(&message, SITE_LABEL, &arena, out);
}

void ist_bundle_hub_make(const struct ist_bundle_hub *bundle,
                         struct ist_sb *out)
{
    Isthmus__V1__HubBundle message = ISTHMUS__V1__HUB_BUNDLE__INIT;
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;

    ist_arena_init(&arena, 4 * IST_BUNDLE_MAX);
    message.federation = (char *) bundle->federation;
    message.site = (char *) bundle->site;
    message.root_key = bytes(bundle->root, sizeof(bundle->root));
    message.delegation =
        unpack_signed(bundle->signed_delegation, bundle->signed_size, &arena);
    message.bus_url = (char *) bundle->bus_url;
    message.bus_ca = bytes(bundle->bus_ca, strlen(bundle->bus_ca));
    message.bus_certificate =
        bytes(bundle->bus_certificate, strlen(bundle->bus_certificate));
    message.lowest_epoch = bundle->lowest_epoch;
    put(&message, HUB_LABEL, &arena, out);
}

/* Judging */

static int unpack_text(const char *text, size_t size, const char *label,
                       const ProtobufCMessageDescriptor *descriptor,
                       struct ist_arena *arena, void **ret, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb data;

    ist_sb_init(&data, IST_BUNDLE_MAX);
    if (size > IST_BUNDLE_TEXT_MAX ||
        ist_armour_read(text, size, label, &data) != 0) {
        ist_err_set(err, IST_BUNDLE_ARMOUR, "bundle: no %s in this file",
                    label);
        return IST_BUNDLE_ARMOUR;
    }
    *ret = ist_unpack(descriptor, arena, data.data, data.len);
    if (*ret)
        return 0;
    if (arena->exceeded)
        return ist_err_set(err, -ENOMEM, "bundle: no room to unpack it");
    return refuse(err, IST_BUNDLE_MESSAGE, "damaged");
}

/* Root key and delegation, the same in both bundles. The packed delegation is
 * kept as well: it is what is stored and shown to others. */
static int judge_delegation(const ProtobufCBinaryData *root,
                            const Isthmus__V1__SignedDelegation *given,
                            enum ist_role role, uint64_t now_ms,
                            struct ist_arena *arena, uint8_t ret_root[32],
                            const void **ret_signed, size_t *ret_size,
                            struct ist_delegation *ret, struct ist_err *err)
{
    int rc;

    if (root->len != crypto_sign_PUBLICKEYBYTES || !given)
        return refuse(err, IST_BUNDLE_MESSAGE, "parts are missing");
    memcpy(ret_root, root->data, crypto_sign_PUBLICKEYBYTES);
    *ret_signed = ist_pack(given, arena, ret_size);
    if (!*ret_signed)
        return ist_err_set(err, -ENOMEM, "bundle: no room to unpack it");
    rc = ist_delegation_verify(*ret_signed, *ret_size, ret_root, role, now_ms,
                               ret, err);
    if (rc > 0) {
        rc += IST_BUNDLE_ROOT - IST_DELEGATION_ROOT;
        if (err)
            err->code = rc;
        ist_err_wrap(err, "bundle");
    }
    return rc;
}

/* Turns a fault of codec/x509.h into one of our refusals. */
static int refuse_x509(struct ist_err *err, enum ist_bundle_refusal why)
{
    if (err)
        err->code = (int) why;
    ist_err_wrap(err, "bundle");
    return (int) why;
}

int ist_bundle_site_parse(const char *text, size_t size, uint64_t now_ms,
                          struct ist_arena *arena, struct ist_bundle_site *ret,
                          struct ist_err *err)
{
    struct ist_bundle_site found = {0};
    Isthmus__V1__SiteBundle *message;
    void *unpacked;
    int rc;

    rc = unpack_text(text, size, SITE_LABEL,
                     &isthmus__v1__site_bundle__descriptor, arena, &unpacked,
                     err);
    if (rc)
        return rc;
    message = unpacked;
    if (!ist_parse_site_name(message->name))
        return refuse(err, IST_BUNDLE_NAME, "not a site's name in it");
    found.name = message->name;
    rc =
        judge_delegation(&message->root_key, message->delegation, IST_ROLE_SITE,
                         now_ms, arena, found.root, &found.signed_delegation,
                         &found.signed_size, &found.delegation, err);
    if (rc)
        return rc;
    if (ist_x509_request_check(message->certificate_request.data,
                               message->certificate_request.len, found.name,
                               err) != 0)
        return refuse_x509(err, IST_BUNDLE_REQUEST);
    found.request = message->certificate_request.data;
    found.request_size = message->certificate_request.len;
    *ret = found;
    return 0;
}

/* PEM as a string, in the arena. NULL when it is too large or holds a NUL. */
static const char *pem_of(const ProtobufCBinaryData *pem,
                          struct ist_arena *arena)
{
    if (pem->len == 0 || pem->len > IST_X509_MAX ||
        memchr(pem->data, '\0', pem->len))
        return NULL;
    return ist_arena_dup(arena, pem->data, pem->len);
}

static int judge_certificate(const struct ist_bundle_hub *bundle,
                             const uint8_t key_hash[32], uint64_t now_ms,
                             struct ist_err *err)
{
    struct ist_x509_info ca, own;
    size_t ca_size, own_size;

    if (!bundle->bus_ca || !bundle->bus_certificate)
        return refuse(err, IST_BUNDLE_CERTIFICATE, "a certificate is missing");
    ca_size = strlen(bundle->bus_ca);
    own_size = strlen(bundle->bus_certificate);
    if (ist_x509_read(bundle->bus_ca, ca_size, &ca, err) != 0 ||
        ist_x509_read(bundle->bus_certificate, own_size, &own, err) != 0)
        return refuse_x509(err, IST_BUNDLE_CERTIFICATE);
    if (!ca.is_ca)
        return refuse(err, IST_BUNDLE_CERTIFICATE, "its CA is none");
    if (strcmp(own.cn, bundle->site) != 0)
        return refuse(err, IST_BUNDLE_CERTIFICATE,
                      "its certificate is for another site");
    if (memcmp(own.key_hash, key_hash, sizeof(own.key_hash)) != 0)
        return refuse(err, IST_BUNDLE_CERTIFICATE,
                      "its certificate is for another key: the hub must be "
                      "given the present site bundle");
    if (ist_x509_verify(bundle->bus_certificate, own_size, bundle->bus_ca,
                        ca_size, IST_X509_CLIENT, now_ms, err) != 0)
        return refuse_x509(err, IST_BUNDLE_CERTIFICATE);
    return 0;
}

int ist_bundle_hub_parse(const char *text, size_t size, uint64_t now_ms,
                         const uint8_t key_hash[32], struct ist_arena *arena,
                         struct ist_bundle_hub *ret, struct ist_err *err)
{
    struct ist_bundle_hub found = {0};
    Isthmus__V1__HubBundle *message;
    void *unpacked;
    int rc;

    rc =
        unpack_text(text, size, HUB_LABEL, &isthmus__v1__hub_bundle__descriptor,
                    arena, &unpacked, err);
    if (rc)
        return rc;
    message = unpacked;
    if (!ist_parse_site_name(message->site) ||
        !ist_keyfile_federation_ok(message->federation))
        return refuse(err, IST_BUNDLE_NAME,
                      "not a site's or federation's name in it");
    found.federation = message->federation;
    found.site = message->site;
    found.lowest_epoch = message->lowest_epoch;
    rc = judge_delegation(&message->root_key, message->delegation, IST_ROLE_HUB,
                          now_ms, arena, found.root, &found.signed_delegation,
                          &found.signed_size, &found.delegation, err);
    if (rc)
        return rc;
    if (!ist_bundle_url_ok(message->bus_url))
        return refuse(err, IST_BUNDLE_URL,
                      "its address of the bus is not amqps://HOST[:PORT]"
                      "[/VHOST] without user and password");
    found.bus_url = message->bus_url;
    found.bus_ca = pem_of(&message->bus_ca, arena);
    found.bus_certificate = pem_of(&message->bus_certificate, arena);
    rc = judge_certificate(&found, key_hash, now_ms, err);
    if (rc == 0)
        *ret = found;
    return rc;
}

/* The address of the bus */

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Steps over a host name, an IPv4 or a bracketed IPv6 address. */
static bool skip_host(const char **at)
{
    size_t len;

    if (**at != '[') {
        len = strspn(*at, ALNUM ".-");
        *at += len;
        return len > 0 && len <= 253;
    }
    len = strspn(*at + 1, "0123456789abcdefABCDEF:.");
    if (len == 0 || len > 45 || (*at)[1 + len] != ']')
        return false;
    *at += len + 2;
    return true;
}

static bool skip_port(const char **at)
{
    uint64_t port;
    char text[6] = "";
    size_t len;

    if (**at != ':')
        return true;
    len = strspn(++*at, "0123456789");
    if (len == 0 || len >= sizeof(text))
        return false;
    memcpy(text, *at, len);
    *at += len;
    return ist_parse_u64(text, 1, 65535, &port);
}

bool ist_bundle_url_ok(const char *url)
{
    static const char scheme[] = "amqps://";
    const char *at = url;

    if (strlen(url) > IST_BUNDLE_URL_MAX)
        return false;
    for (;;) {
        if (strncmp(at, scheme, sizeof(scheme) - 1) != 0)
            return false;
        at += sizeof(scheme) - 1;
        if (!skip_host(&at) || !skip_port(&at))
            return false;
        if (*at == '/') {
            at++;
            at += strspn(at, ALNUM "%._~-");
        }
        if (*at == '\0')
            return true;
        if (*at++ != ',')
            return false;
    }
}
