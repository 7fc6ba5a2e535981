/* The bus, as hub and agent see it: publish, consume, be told what happened.
 *
 * Two classes implement it: 'amqp' on a real RabbitMQ, 'mem' in process for
 * the simulation. tests/conform/bus holds both to the same behaviour.
 *
 * A bus object is one principal's place on the bus. It connects by itself, and
 * again after every loss, with jittered back-off, until it is closed. Nothing
 * here blocks or waits, and no callback runs inside the caller's call. All of
 * it belongs to the loop's thread. */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "io/op.h"

#include <stddef.h>
#include <stdint.h>

struct ist_bus;

/* Outcomes of a publish. */
enum ist_bus_outcome {
    IST_BUS_UNROUTABLE = 1, /* No queue takes that key (return 312). */
    IST_BUS_FULL,           /* The queue refused it (nack). */
    IST_BUS_DENIED,         /* The broker forbids it (403, 406). */
};
/* Faults of a publish: -ENOTCONN (no connection, or it or its channel was lost
 * before the confirm: it may have arrived), -EAGAIN (blocked by the broker, or
 * over the high mark: see 'drained'), -EMSGSIZE (over the broker's limit),
 * -ETIMEDOUT (no confirm: it may have arrived), -EINVAL (no exchange or key,
 * or one of over 255 bytes;
 * headers over their limits), -ENOBUFS (more than 16 exchanges). */

#define IST_BUS_HEADERS_MAX  4
#define IST_BUS_HEADERS_SIZE 2048 /* Bytes of all. */

/* A header of a message: text. */
struct ist_bus_header {
    const char *name, *value;
};

/* A message, to send or delivered. Strings and body are borrowed: for a send
 * until the call returns, for a delivery until the callback returns. */
struct ist_bus_message {
    const char *exchange, *key;
    const void *body;
    size_t size;

    const char *type;     /* A class: "call", "reply", "event", ... or NULL. */
    uint64_t correlation; /* 0: none. A hint for operators. */
    uint64_t expiration_ms; /* 0: none. The broker drops it afterwards. */
    bool mandatory;         /* Unroutable is an outcome, not silence. */
    bool persistent;

    /* At most IST_BUS_HEADERS_MAX, IST_BUS_HEADERS_SIZE. Of a delivery: the
     * first so many that are text. */
    const struct ist_bus_header *headers;
    size_t n_headers;

    /* Only in what is sent: a media type, for readers other than ours. */
    const char *content_type;

    /* Only in a delivery. */
    const char *user; /* The broker checked it, or "". A hint all the same. */
    uint64_t tag;     /* For ist_bus_ack(). */
    uint64_t offset;  /* In a stream; else 0. */
    uint64_t n_redelivered; /* x-delivery-count; 0 at first. */
};

/* A confirmed publish. op.rc: 0 once the broker has taken the message. */
struct ist_bus_publish {
    struct ist_op op; /* Prepared by the caller. */
    uint64_t tag;     /* Private to the class. */
    void *link[4];    /* Private to the class. */
};

/* A queue that the owner wants to hear, from when it is added until it is
 * removed: the bus consumes again after every reconnect or cancel. In 'queue'
 * and 'bind_key' each "{n}" stands for ist_bus_generation(), so that a
 * reconnect never meets its own half-dead queue (405 RESOURCE_LOCKED). */
struct ist_bus_consumer {
    const char *queue; /* Borrowed while added. */

    /* Not NULL: declare the queue exclusive and auto-delete, and bind it. */
    const char *bind_exchange, *bind_key;
    const char *bind_also;       /* A second key, or NULL. */
    uint64_t ttl_ms, max_length; /* Of the queue declared; 0: none. */
    /* An exchange that is not there is made: topic, transient. One that is
     * there is bound to as it is, and needs no right to configure it. */
    bool declare_exchange;

    bool ack;          /* Each delivery wants ist_bus_ack(); else no_ack. */
    bool newest_first; /* x-priority rises with each connect: see bus.c. */
    uint16_t prefetch; /* With 'ack'; 0: none. */
    /* A stream: "first", "next", "last" or a number; NULL: no stream. Wants
     * 'ack' and 'prefetch'. After a reconnect it goes on behind what was
     * acked. */
    const char *offset;

    void (*deliver)(struct ist_bus_consumer *, const struct ist_bus_message *);
    /* In its place (again): from now on nothing is missed. May be NULL. */
    void (*placed)(struct ist_bus_consumer *);
    /* A message came that was not read: too large, encoded, or with headers
     * out of bounds. May be NULL. */
    void (*dropped)(struct ist_bus_consumer *);

    /* The broker refused or cancelled it (NULL: log only). The bus tries again
     * with back-off, for ever. */
    void (*refused)(struct ist_bus_consumer *, const struct ist_err *);
    uint64_t retry_max_ms; /* Longest back-off; 0: five seconds. */

    void *link[4]; /* Private to the class. Zero it before adding. */
};

/* What happens to the connection. Any may be NULL. */
struct ist_bus_events {
    void (*up)(struct ist_bus *); /* Consumers are in place. */
    void (*down)(struct ist_bus *, const struct ist_err *); /* Was up. */
    void (*blocked)(struct ist_bus *, bool on); /* connection.blocked */
    void (*drained)(struct ist_bus *);          /* After -EAGAIN: try again. */
    void (*closed)(struct ist_bus *); /* After ist_bus_close(): now free it. */
};

/* What a class implements. Every slot is mandatory. */
struct ist_bus_class {
    const char *name; /* "amqp", "mem" */
    void (*close)(struct ist_bus *);
    struct ist_bus *(*free)(struct ist_bus *);
    int (*send)(struct ist_bus *, const struct ist_bus_message *);
    void (*publish)(struct ist_bus *, struct ist_bus_publish *,
                    const struct ist_bus_message *);
    void (*consume)(struct ist_bus *, struct ist_bus_consumer *);
    void (*cancel)(struct ist_bus *, struct ist_bus_consumer *);
    int (*ack)(struct ist_bus *, struct ist_bus_consumer *, uint64_t tag);
};

/* Base member of every class's struct. */
struct ist_bus {
    const struct ist_bus_class *class;
    struct ist_loop *loop;               /* Borrowed. */
    const struct ist_bus_events *events; /* Borrowed. */
    void *owner;                         /* Borrowed. Not used by the bus. */
    bool is_up, is_blocked;
    uint64_t generation;

    /* Counters for metrics; only ever rise. */
    uint64_t n_connects, n_sent, n_delivered, n_dropped;
};

/* Ends with events->closed. Publishes in flight finish with -ECANCELED. */
void ist_bus_close(struct ist_bus *);
/* After 'closed'. NULL is fine; returns NULL. */
struct ist_bus *ist_bus_free(struct ist_bus *);

/* Not confirmed, at most once: for answers, credit, presence. 0 when it was
 * put in the buffer; -ENOTCONN, -EAGAIN, -EMSGSIZE. */
int ist_bus_send(struct ist_bus *, const struct ist_bus_message *);

/* Confirmed. All outcomes arrive in op.done. */
void ist_bus_publish(struct ist_bus *, struct ist_bus_publish *,
                     const struct ist_bus_message *);

/* On a bus that is closing nothing happens. */
void ist_bus_consume(struct ist_bus *, struct ist_bus_consumer *);
/* No delivery comes after it returned; what was not acked goes back to the
 * queue, and can no longer be acked. Harmless on one that was not added. */
void ist_bus_cancel(struct ist_bus *, struct ist_bus_consumer *);

/* -ENOTCONN when the connection that delivered it is gone: it will come
 * again. -EINVAL for one that is acked already. */
int ist_bus_ack(struct ist_bus *, struct ist_bus_consumer *, uint64_t tag);

/* Number of the present connection, rising with every connect, also over
 * restarts (wall milliseconds). Changes before 'up'. */
uint64_t ist_bus_generation(const struct ist_bus *);

#endif
