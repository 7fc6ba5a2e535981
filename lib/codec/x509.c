/* OpenSSL is met here and in the transport of the bus only. Its objects live
 * in guarded locals; what fails is reported by our own sentence, since what
 * OpenSSL says ("asn1 encoding routines") helps nobody. */
#include "codec/x509.h"

#include "base/rand.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>

#define HOUR (60 * 60)
#define DAY  (24 * HOUR)

#define GUARD(type, free)                                                      \
    static void drop_##type(type **p)                                          \
    {                                                                          \
        free(*p);                                                              \
    }
GUARD(EVP_PKEY, EVP_PKEY_free)
GUARD(X509_REQ, X509_REQ_free)
GUARD(X509, X509_free)
GUARD(X509_STORE, X509_STORE_free)
GUARD(X509_STORE_CTX, X509_STORE_CTX_free)
GUARD(BIO, BIO_free_all)
GUARD(BIGNUM, BN_free)
GUARD(X509_EXTENSION, X509_EXTENSION_free)
#define OWNED(type) IST_CLEANUP(drop_##type) type

static int broken(struct ist_err *err, const char *what)
{
    ERR_clear_error();
    return ist_err_set(err, -EIO, "OpenSSL cannot %s", what);
}

static int refuse(struct ist_err *err, const char *why)
{
    ERR_clear_error();
    return ist_err_set(err, -EINVAL, "%s", why);
}

/* In and out of bytes */

/* A key file that is encrypted must fail, not ask on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void) buf, (void) size, (void) rwflag, (void) arg;
    return -1;
}

static BIO *reader(const void *data, size_t size)
{
    return size > IST_X509_MAX ? NULL : BIO_new_mem_buf(data, (int) size);
}

static EVP_PKEY *read_key(const char *pem, size_t size, struct ist_err *err)
{
    OWNED(BIO) *in = reader(pem, size);
    EVP_PKEY *key =
        in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;

    if (!key)
        refuse(err, "not a private key in PEM without a password");
    return key;
}

static X509 *read_certificate(const char *pem, size_t size, struct ist_err *err)
{
    OWNED(BIO) *in = reader(pem, size);
    X509 *certificate =
        in ? PEM_read_bio_X509(in, NULL, no_password, NULL) : NULL;

    if (!certificate)
        refuse(err, "not a certificate in PEM");
    return certificate;
}

static X509_REQ *read_request(const void *der, size_t size, struct ist_err *err)
{
    const unsigned char *at = der, *end = size ? at + size : at;
    OWNED(X509_REQ) *request = size == 0 || size > IST_X509_MAX
                                   ? NULL
                                   : d2i_X509_REQ(NULL, &at, (long) size);

    if (!request || at != end) {
        refuse(err, "not a certificate request (PKCS #10)");
        return NULL;
    }
    return IST_TAKE(request);
}

static int take_bio(BIO *bio, struct ist_sb *out, struct ist_err *err)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);

    if (size <= 0)
        return broken(err, "write PEM");
    ist_sb_add(out, data, (size_t) size);
    OPENSSL_cleanse(data, (size_t) size);
    return out->rc;
}

static int write_key(EVP_PKEY *key, struct ist_sb *out, struct ist_err *err)
{
    OWNED(BIO) *bio = BIO_new(BIO_s_mem());

    if (!bio ||
        !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return broken(err, "write a key");
    return take_bio(bio, out, err);
}

static int write_certificate(X509 *certificate, struct ist_sb *out,
                             struct ist_err *err)
{
    OWNED(BIO) *bio = BIO_new(BIO_s_mem());

    if (!bio || !PEM_write_bio_X509(bio, certificate))
        return broken(err, "write a certificate");
    return take_bio(bio, out, err);
}

/* Keys and requests */

int ist_x509_key_make(struct ist_sb *pem, struct ist_err *err)
{
    OWNED(EVP_PKEY) *key = EVP_EC_gen("P-256");

    return key ? write_key(key, pem, err) : broken(err, "make a key");
}

/* Ed25519 hashes by itself and takes no digest. */
static const EVP_MD *digest_for(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

static bool set_cn(X509_NAME *name, const char *cn)
{
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      (const unsigned char *) cn, -1, -1,
                                      0) == 1;
}

int ist_x509_request_make(const char *key_pem, size_t key_size, const char *cn,
                          struct ist_sb *der, struct ist_err *err)
{
    OWNED(EVP_PKEY) *key = read_key(key_pem, key_size, err);
    OWNED(X509_REQ) *request = X509_REQ_new();
    unsigned char *bytes = NULL;
    int size;

    if (!key)
        return -EINVAL;
    if (!request || !X509_REQ_set_version(request, 0) ||
        !set_cn(X509_REQ_get_subject_name(request), cn) ||
        !X509_REQ_set_pubkey(request, key) ||
        !X509_REQ_sign(request, key, digest_for(key)))
        return broken(err, "make a certificate request");
    size = i2d_X509_REQ(request, &bytes);
    if (size <= 0)
        return broken(err, "write a certificate request");
    ist_sb_add(der, bytes, (size_t) size);
    OPENSSL_free(bytes);
    return der->rc;
}

static bool is_p256(EVP_PKEY *key)
{
    char group[32];

    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
           OBJ_sn2nid(group) == NID_X9_62_prime256v1;
}

/* Exactly one CN, equal to 'cn' byte for byte. */
static bool is_just(const X509_NAME *name, const char *cn)
{
    const X509_NAME_ENTRY *entry;
    const ASN1_STRING *value;

    if (X509_NAME_entry_count(name) != 1)
        return false;
    entry = X509_NAME_get_entry(name, 0);
    if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
        return false;
    value = X509_NAME_ENTRY_get_data(entry);
    if (ASN1_STRING_type(value) != V_ASN1_UTF8STRING &&
        ASN1_STRING_type(value) != V_ASN1_PRINTABLESTRING)
        return false;
    return (size_t) ASN1_STRING_length(value) == strlen(cn) &&
           memcmp(ASN1_STRING_get0_data(value), cn, strlen(cn)) == 0;
}

static int judge_request(X509_REQ *request, const char *cn, struct ist_err *err)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);

    if (!key || (!is_p256(key) && !EVP_PKEY_is_a(key, "ED25519")))
        return refuse(err, "the request's key is neither EC P-256 nor Ed25519");
    if (X509_REQ_verify(request, key) != 1)
        return refuse(err, "the request is not signed by its own key");
    if (!is_just(X509_REQ_get_subject_name(request), cn))
        return refuse(err, "the request's subject is not just CN=<name>");
    if (X509_REQ_get_attr_count(request) != 0)
        return refuse(err, "the request asks for extensions (a CA, other "
                           "names): only a CN can be asked for");
    return 0;
}

int ist_x509_request_check(const void *der, size_t size, const char *cn,
                           struct ist_err *err)
{
    OWNED(X509_REQ) *request = read_request(der, size, err);

    return request ? judge_request(request, cn, err) : -EINVAL;
}

static int key_hash(EVP_PKEY *key, uint8_t ret[32], struct ist_err *err)
{
    unsigned char *spki = NULL;
    int size = i2d_PUBKEY(key, &spki);

    if (size <= 0)
        return broken(err, "write a public key");
    SHA256(spki, (size_t) size, ret);
    OPENSSL_free(spki);
    return 0;
}

int ist_x509_key_hash(const char *key_pem, size_t size, uint8_t ret[32],
                      struct ist_err *err)
{
    OWNED(EVP_PKEY) *key = read_key(key_pem, size, err);

    return key ? key_hash(key, ret, err) : -EINVAL;
}

int ist_x509_request_hash(const void *der, size_t size, uint8_t ret[32],
                          struct ist_err *err)
{
    OWNED(X509_REQ) *request = read_request(der, size, err);
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;

    return key ? key_hash(key, ret, err) : -EINVAL;
}

/* Certificates */

static bool add_extension(X509 *certificate, X509 *issuer, int nid,
                          const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *made;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    made = X509V3_EXT_conf_nid(NULL, &context, nid, value);

    OWNED(X509_EXTENSION) *extension = made;

    return extension && X509_add_ext(certificate, extension, -1) == 1;
}

/* 127 random bits: positive, and never seen before. */
static bool set_serial(X509 *certificate)
{
    unsigned char bytes[16];

    ist_rand_bytes(bytes, sizeof(bytes));
    bytes[0] = (unsigned char) ((bytes[0] & 0x7F) | 0x40);

    OWNED(BIGNUM) *number = BN_bin2bn(bytes, sizeof(bytes), NULL);

    return number &&
           BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
}

static bool set_validity(X509 *certificate, uint64_t now_ms, unsigned days)
{
    time_t now = (time_t) (now_ms / 1000);

    return X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -HOUR, &now) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), (int) days, 0,
                            &now);
}

/* What CA and leaf have in common. */
static bool begin(X509 *certificate, EVP_PKEY *key, const char *cn,
                  uint64_t now_ms, unsigned days)
{
    return X509_set_version(certificate, X509_VERSION_3) &&
           set_serial(certificate) && set_validity(certificate, now_ms, days) &&
           set_cn(X509_get_subject_name(certificate), cn) &&
           X509_set_pubkey(certificate, key);
}

int ist_x509_ca_make(const char *cn, uint64_t now_ms, unsigned days,
                     struct ist_sb *key_pem, struct ist_sb *pem,
                     struct ist_err *err)
{
    OWNED(EVP_PKEY) *key = EVP_EC_gen("P-256");
    OWNED(X509) *ca = X509_new();
    int rc;

    if (!key || !ca || !begin(ca, key, cn, now_ms, days) ||
        !X509_set_issuer_name(ca, X509_get_subject_name(ca)) ||
        !add_extension(ca, ca, NID_basic_constraints,
                       "critical,CA:TRUE,pathlen:0") ||
        !add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(ca, ca, NID_subject_key_identifier, "hash") ||
        !X509_sign(ca, key, EVP_sha256()))
        return broken(err, "make a CA");
    rc = write_key(key, key_pem, err);
    return rc ? rc : write_certificate(ca, pem, err);
}

static bool is_address(const char *host)
{
    unsigned char buf[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, buf) == 1 ||
           inet_pton(AF_INET6, host, buf) == 1;
}

/* Hosts and URIs go into a comma-separated notation of OpenSSL's: what could
 * be taken for its syntax is refused. */
static bool is_plain(const char *text)
{
    return *text && strlen(text) <= 255 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789.-:/_") == strlen(text);
}

/* Empty when there are none. */
static int names(const struct ist_x509_leaf *leaf, struct ist_sb *out,
                 struct ist_err *err)
{
    for (size_t i = 0; leaf->hosts && leaf->hosts[i]; i++) {
        const char *host = leaf->hosts[i];

        if (!is_plain(host))
            return refuse(err, "not a host name or address");
        ist_sb_printf(out, "%s%s:%s", out->len ? "," : "",
                      is_address(host) ? "IP" : "DNS", host);
    }
    if (leaf->uri) {
        if (!is_plain(leaf->uri))
            return refuse(err, "not a URI of a principal");
        ist_sb_printf(out, "%sURI:%s", out->len ? "," : "", leaf->uri);
    }
    return out->rc;
}

static int add_leaf_extensions(X509 *certificate, X509 *ca,
                               const struct ist_x509_leaf *leaf,
                               struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb san;
    const char *use =
        leaf->use == IST_X509_SERVER ? "serverAuth" : "clientAuth";
    int rc;

    ist_sb_init(&san, 4096);
    rc = names(leaf, &san, err);
    if (rc)
        return rc;
    if (!add_extension(certificate, ca, NID_basic_constraints,
                       "critical,CA:FALSE") ||
        !add_extension(certificate, ca, NID_key_usage,
                       "critical,digitalSignature") ||
        !add_extension(certificate, ca, NID_ext_key_usage, use) ||
        !add_extension(certificate, ca, NID_subject_key_identifier, "hash") ||
        !add_extension(certificate, ca, NID_authority_key_identifier,
                       "keyid:always"))
        return broken(err, "add extensions");
    if (san.len && !add_extension(certificate, ca, NID_subject_alt_name,
                                  ist_sb_text(&san)))
        return broken(err, "add names");
    return 0;
}

int ist_x509_issue(const char *ca_pem, size_t ca_size, const char *ca_key_pem,
                   size_t ca_key_size, const void *request, size_t request_size,
                   const struct ist_x509_leaf *leaf, struct ist_sb *pem,
                   struct ist_err *err)
{
    OWNED(X509) *ca = read_certificate(ca_pem, ca_size, err);
    OWNED(EVP_PKEY) *ca_key =
        ca ? read_key(ca_key_pem, ca_key_size, err) : NULL;
    OWNED(X509_REQ) *asked =
        ca_key ? read_request(request, request_size, err) : NULL;
    OWNED(X509) *made = X509_new();
    int rc;

    if (!asked)
        return -EINVAL;
    rc = judge_request(asked, leaf->cn, err);
    if (rc)
        return rc;
    if (X509_check_private_key(ca, ca_key) != 1)
        return refuse(err, "the CA's key is not that of its certificate");
    if (!made ||
        !begin(made, X509_REQ_get0_pubkey(asked), leaf->cn, leaf->now_ms,
               leaf->days) ||
        !X509_set_issuer_name(made, X509_get_subject_name(ca)))
        return broken(err, "make a certificate");
    rc = add_leaf_extensions(made, ca, leaf, err);
    if (rc)
        return rc;
    if (!X509_sign(made, ca_key, digest_for(ca_key)))
        return broken(err, "sign a certificate");
    return write_certificate(made, pem, err);
}

/* Looking at them */

static bool to_ms(const ASN1_TIME *time, uint64_t *ret)
{
    struct tm parts;
    time_t seconds;

    if (!ASN1_TIME_to_tm(time, &parts))
        return false;
    seconds = timegm(&parts);
    *ret = seconds < 0 ? 0 : (uint64_t) seconds * 1000;
    return true;
}

int ist_x509_read(const char *pem, size_t size, struct ist_x509_info *ret,
                  struct ist_err *err)
{
    OWNED(X509) *certificate = read_certificate(pem, size, err);
    struct ist_x509_info info = {0};
    EVP_PKEY *key;
    int rc;

    if (!certificate)
        return -EINVAL;
    if (!to_ms(X509_get0_notBefore(certificate), &info.not_before_ms) ||
        !to_ms(X509_get0_notAfter(certificate), &info.not_after_ms))
        return refuse(err, "a certificate without times");
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
                              NID_commonName, info.cn, sizeof(info.cn));
    info.is_ca = X509_check_ca(certificate) == 1;
    key = X509_get0_pubkey(certificate);
    if (!key)
        return refuse(err, "a certificate without a usable key");
    rc = key_hash(key, info.key_hash, err);
    if (rc)
        return rc;
    *ret = info;
    return 0;
}

int ist_x509_verify(const char *pem, size_t size, const char *ca_pem,
                    size_t ca_size, enum ist_x509_use use, uint64_t now_ms,
                    struct ist_err *err)
{
    OWNED(X509) *certificate = read_certificate(pem, size, err);
    OWNED(X509) *ca =
        certificate ? read_certificate(ca_pem, ca_size, err) : NULL;
    OWNED(X509_STORE) *store = X509_STORE_new();
    OWNED(X509_STORE_CTX) *context = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *rules;
    int why;

    if (!ca)
        return -EINVAL;
    if (!store || !context || !X509_STORE_add_cert(store, ca) ||
        !X509_STORE_CTX_init(context, store, certificate, NULL))
        return broken(err, "verify a certificate");
    rules = X509_STORE_CTX_get0_param(context);
    if (now_ms)
        X509_VERIFY_PARAM_set_time(rules, (time_t) (now_ms / 1000));
    else
        X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME);
    X509_VERIFY_PARAM_set_purpose(rules, use == IST_X509_SERVER
                                             ? X509_PURPOSE_SSL_SERVER
                                             : X509_PURPOSE_SSL_CLIENT);
    if (X509_verify_cert(context) == 1) {
        ERR_clear_error();
        return 0;
    }
    why = X509_STORE_CTX_get_error(context);
    ERR_clear_error();
    return ist_err_set(err, -EINVAL, "certificate: %s",
                       X509_verify_cert_error_string(why));
}

bool ist_x509_has_host(const char *pem, size_t size, const char *host)
{
    OWNED(X509) *certificate = read_certificate(pem, size, NULL);
    bool found = certificate &&
                 (is_address(host)
                      ? X509_check_ip_asc(certificate, host, 0) == 1
                      : X509_check_host(certificate, host, strlen(host),
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                                        NULL) == 1);

    ERR_clear_error();
    return found;
}
