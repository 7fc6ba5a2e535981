/* TLS without a socket: OpenSSL between two memory buffers. The peer must show
 * a certificate of our CA for the name we dialled; TLS 1.2 at least; ours is
 * shown in turn (mutual TLS).
 *
 * OpenSSL's error queue is the thread's, shared with libcurl: a stale entry
 * makes SSL_get_error() lie, so it is cleared before each call. */
#ifndef BUS_TLS_H
#define BUS_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ist_tls_ctx;
struct ist_tls;

/* Reads the three PEM files; made anew for each connect, so that a renewed
 * certificate is picked up. 'user' (256 bytes) receives the common name of
 * our certificate: the broker's name for us. 'ca' NULL: those that the system
 * trusts. 'certificate' NULL: none is shown, 'key' and 'user' are not used. */
struct ist_tls_ctx *ist_tls_ctx_new(const char *ca, const char *certificate,
                                    const char *key, char *user,
                                    struct ist_err *err);
struct ist_tls_ctx *ist_tls_ctx_free(struct ist_tls_ctx *);

/* A client's session with 'host' (a name, or an address). NULL when memory is
 * out. The context may be freed before it. */
struct ist_tls *ist_tls_new(struct ist_tls_ctx *, const char *host);
struct ist_tls *ist_tls_free(struct ist_tls *);

/* 1 when the session stands, 0 when more bytes are needed, else a fault with
 * 'err' filled. After each call, bytes may wait to be sent. */
int ist_tls_handshake(struct ist_tls *, struct ist_err *err);

/* Bytes from the network. */
int ist_tls_feed(struct ist_tls *, const void *data, size_t size);
/* Plain bytes: their number; 0 when more must be fed; -ECONNRESET at the
 * peer's orderly end, else a fault, with 'err' filled. */
ssize_t ist_tls_read(struct ist_tls *, void *buf, size_t size,
                     struct ist_err *err);

/* Encrypts all of it. */
int ist_tls_write(struct ist_tls *, const void *data, size_t size,
                  struct ist_err *err);
/* Our orderly end: a close_notify waits to be sent. */
void ist_tls_shutdown(struct ist_tls *);

/* Bytes for the network: how many wait, and takes up to 'size' of them. */
size_t ist_tls_pending(const struct ist_tls *);
size_t ist_tls_take(struct ist_tls *, void *buf, size_t size);

#endif
