/* The publisher for the NOC: a reader of the log, with the place "noc", that
 * puts every event on x.noc, where RabbitMQ keeps them in a stream for
 * read-only users. Unlike all else on the bus it can be read there: CloudEvents
 * in the JSON batch format ("CloudEvents JSON format 1.0", section 4), at most
 * 64 events of one site or what came within 5 ms, signed by the hub.
 *
 *   key      site.service.kind.action.severity; '_' where a batch differs
 *   headers  isthmus-signature   Ed25519 over the body as a statement
 *                                (codec/statement.h) of events
 *            isthmus-delegation  by which the hub's root key lets the signing
 *                                key speak (codec/delegation.h)
 *            Both in base64.
 *
 * A batch counts as published when the broker has confirmed it. What was not is
 * published again, together with what followed it: so a reader sees each
 * site's and each origin's events in order, some of them twice, and drops by id
 * what it has seen. Events that the log dropped before they could be published
 * are told as a gap.
 */
#ifndef EVENTS_NOC_H
#define EVENTS_NOC_H

#include "bus/bus.h"
#include "events/log.h"

#define NOC_PLACE        "noc"
#define NOC_EXCHANGE     "x.noc"
#define NOC_CONTENT_TYPE "application/cloudevents-batch+json"
#define NOC_BATCH_MAX    64

struct noc;

/* What signs: borrowed for as long as the publisher lives. */
struct noc_signer {
    const uint8_t *secret; /* Ed25519, of the delegation's signing key. */
    const void *delegation;
    size_t delegation_size;
};

/* All borrowed. NULL with 'err'. Begins where it was. */
struct noc *noc_open(struct ist_bus *, struct ist_tree *, struct events_log *,
                     const struct noc_signer *, struct ist_err *err);
/* The bus is up (again): what waits need not wait longer. */
void noc_up(struct noc *);

/* Publishes no more; ends soon, when noc_busy() says no. */
void noc_stop(struct noc *);
bool noc_busy(const struct noc *);
/* Stopped and not busy. NULL is fine; returns NULL. */
struct noc *noc_free(struct noc *);

struct noc_counts {
    uint64_t events, messages; /* Confirmed. */
    uint64_t failures;         /* Messages that were not, at one try. */
    uint64_t behind;           /* Events that are not published yet. */
};
void noc_count(const struct noc *, struct noc_counts *ret);

#endif
