#include "bus/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct ist_tls {
    SSL *ssl; /* Owns both BIOs. */
    BIO *input, *output;
    bool is_established;
};

/* The context is OpenSSL's own; ours is only a name for it. */
static SSL_CTX *ssl_ctx(struct ist_tls_ctx *ctx)
{
    return (SSL_CTX *) ctx;
}

/* No tty for a passphrase: an encrypted key is an error. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) arg;
    return 0;
}

static const char *last_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    if (code && ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    return reason ? reason : "unknown reason";
}

static bool common_name(SSL_CTX *ctx, char *user, size_t size)
{
    X509 *x509 = SSL_CTX_get0_certificate(ctx);
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(x509),
                                        NID_commonName, user, (int) size);

    return len > 0 && (size_t) len < size - 1 && strlen(user) == (size_t) len;
}

static int load(SSL_CTX *ctx, const char *ca, const char *certificate,
                const char *key, char *user, struct ist_err *err)
{
    if (ca ? !SSL_CTX_load_verify_locations(ctx, ca, NULL)
           : !SSL_CTX_set_default_verify_paths(ctx))
        return ist_err_set(err, -EINVAL, "CA file %s: %s",
                           ca ? ca : "of the system", last_reason());
    if (!certificate)
        return 0;
    if (!SSL_CTX_use_certificate_chain_file(ctx, certificate))
        return ist_err_set(err, -EINVAL, "certificate file %s: %s", certificate,
                           last_reason());
    if (!SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM))
        return ist_err_set(err, -EINVAL, "key file %s: %s", key, last_reason());
    if (!SSL_CTX_check_private_key(ctx))
        return ist_err_set(err, -EINVAL, "key file %s: not the key of %s", key,
                           certificate);
    if (!common_name(ctx, user, 256))
        return ist_err_set(err, -EINVAL,
                           "certificate file %s: no common name that could be "
                           "a user",
                           certificate);
    return 0;
}

struct ist_tls_ctx *ist_tls_ctx_new(const char *ca, const char *certificate,
                                    const char *key, char *user,
                                    struct ist_err *err)
{
    SSL_CTX *ctx;

    ERR_clear_error();
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        ist_err_set(err, -ENOMEM, "no TLS context: %s", last_reason());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    if (load(ctx, ca, certificate, key, user, err)) {
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return NULL;
    }
    return (struct ist_tls_ctx *) ctx;
}

struct ist_tls_ctx *ist_tls_ctx_free(struct ist_tls_ctx *ctx)
{
    SSL_CTX_free(ssl_ctx(ctx));
    return NULL;
}

static bool is_address(const char *host)
{
    unsigned char buf[16];

    return inet_pton(AF_INET, host, buf) == 1 ||
           inet_pton(AF_INET6, host, buf) == 1;
}

struct ist_tls *ist_tls_new(struct ist_tls_ctx *ctx, const char *host)
{
    struct ist_tls *tls = calloc(1, sizeof(*tls));

    if (!tls)
        return NULL;
    ERR_clear_error();
    tls->ssl = SSL_new(ssl_ctx(ctx));
    tls->input = BIO_new(BIO_s_mem());
    tls->output = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->input || !tls->output) {
        BIO_free(tls->input);
        BIO_free(tls->output);
        SSL_free(tls->ssl);
        free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, tls->input, tls->output);
    SSL_set_connect_state(tls->ssl);
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!SSL_set1_host(tls->ssl, host) ||
        (!is_address(host) && !SSL_set_tlsext_host_name(tls->ssl, host)))
        return ist_tls_free(tls);
    return tls;
}

struct ist_tls *ist_tls_free(struct ist_tls *tls)
{
    if (tls) {
        SSL_free(tls->ssl);
        free(tls);
    }
    return NULL;
}

/* What a call that returned 'n' <= 0 meant: 0 (wants more), or a fault. */
static int judge(struct ist_tls *tls, int n, struct ist_err *err)
{
    long verified = SSL_get_verify_result(tls->ssl);

    switch (SSL_get_error(tls->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return ist_err_set(err, -ECONNRESET, "the peer ended the session");
    default:
        if (!tls->is_established && verified != X509_V_OK)
            return ist_err_set(err, -EACCES, "the broker's certificate: %s",
                               X509_verify_cert_error_string(verified));
        return ist_err_set(err, -EPROTO, "TLS: %s", last_reason());
    }
}

int ist_tls_handshake(struct ist_tls *tls, struct ist_err *err)
{
    int n;

    ERR_clear_error();
    n = SSL_do_handshake(tls->ssl);
    if (n != 1)
        return judge(tls, n, err);
    tls->is_established = true;
    return 1;
}

int ist_tls_feed(struct ist_tls *tls, const void *data, size_t size)
{
    ERR_clear_error();
    if (size > INT_MAX || BIO_write(tls->input, data, (int) size) != (int) size)
        return -ENOMEM;
    return 0;
}

ssize_t ist_tls_read(struct ist_tls *tls, void *buf, size_t size,
                     struct ist_err *err)
{
    int n;

    ERR_clear_error();
    n = SSL_read(tls->ssl, buf, size > INT_MAX ? INT_MAX : (int) size);
    return n > 0 ? n : judge(tls, n, err);
}

int ist_tls_write(struct ist_tls *tls, const void *data, size_t size,
                  struct ist_err *err)
{
    size_t written;
    int rc;

    if (size == 0)
        return 0;
    ERR_clear_error();
    /* A memory BIO takes everything, so this never wants to be called again. */
    if (SSL_write_ex(tls->ssl, data, size, &written) && written == size)
        return 0;
    rc = judge(tls, 0, err);
    return rc ? rc : ist_err_set(err, -EPROTO, "TLS: cannot write now");
}

void ist_tls_shutdown(struct ist_tls *tls)
{
    ERR_clear_error();
    if (tls->is_established)
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

size_t ist_tls_pending(const struct ist_tls *tls)
{
    return BIO_ctrl_pending(tls->output);
}

size_t ist_tls_take(struct ist_tls *tls, void *buf, size_t size)
{
    int n = BIO_read(tls->output, buf, size > INT_MAX ? INT_MAX : (int) size);

    return n > 0 ? (size_t) n : 0;
}
