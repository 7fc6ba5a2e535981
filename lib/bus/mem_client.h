/* What the files of a client's end share: mem.c is the connection and the
 * class, mem_packet.c the faulty way to the broker and back, mem_consume.c the
 * consumers. */
#ifndef BUS_MEM_CLIENT_H
#define BUS_MEM_CLIENT_H

#include "bus/mem_priv.h"

enum lane { LANE_OUT, LANE_CONFIRM, LANE_IN, N_LANES };

enum phase {
    ARRIVE,  /* At the broker. */
    HELD,    /* At a broker that is blocked. */
    CONFIRM, /* On the way back, with 'rc'. */
    LOST,    /* Nobody will confirm it; its publisher gives up then. */
    DELIVER, /* To a consumer. */
};

struct mem_packet {
    struct ist_timer timer;
    struct mem_bus *bus;
    enum phase phase;
    struct mem_blob *blob;           /* One reference. */
    struct ist_bus_publish *publish; /* NULL: a send, or cancelled. */
    bool mandatory, confirmed, again;
    int rc;

    /* Of a delivery. */
    struct mem_sub *sub;
    uint64_t tag, offset, n_redelivered;

    TAILQ_ENTRY(mem_packet) sibling;
};

struct mem_bus {
    struct ist_bus base;
    struct ist_mem_broker *broker; /* Borrowed. */
    char *user;                    /* Owned. */
    TAILQ_HEAD(mem_packets, mem_packet) packets;
    uint64_t lane_at[N_LANES]; /* When the last one of each arrives. */
    uint64_t n_unconfirmed;
    struct mem_subs subs;
    bool is_over; /* -EAGAIN was given: owes 'drained'. */
    bool is_closing, is_closed;
    unsigned news;
    struct ist_err lost; /* Why it went down. */
    struct ist_timer news_timer, connect_timer;
    TAILQ_ENTRY(mem_bus) sibling;
};

/* ---- mem.c */

struct mem_bus *mem_of(struct ist_bus *);
/* Tells the owner that there is room again, if it waits for that. */
void mem_drained_maybe(struct mem_bus *);

/* ---- mem_packet.c */

uint64_t mem_between(uint64_t min, uint64_t max);

struct mem_packet *mem_packet_new(struct mem_bus *, enum phase,
                                  struct mem_blob *);
struct mem_packet *mem_packet_free(struct mem_packet *);
/* Tells its publisher, if there is one, and frees it. */
void mem_packet_finish(struct mem_packet *, int rc, const char *why);
/* Puts it on its way. Ties keep their order, for timers do. */
void mem_packet_send(struct mem_packet *, enum lane);

/* ---- mem_consume.c */

void mem_consume(struct ist_bus *, struct ist_bus_consumer *);
void mem_cancel(struct ist_bus *, struct ist_bus_consumer *);
int mem_ack(struct ist_bus *, struct ist_bus_consumer *, uint64_t tag);
void mem_sub_free(struct mem_sub *);
/* Attaches it in the loop's next turn, from there. */
void mem_sub_retry(struct mem_sub *);
/* Tells its owner that it is in place, from the loop. */
void mem_sub_placed(struct mem_sub *);

#endif
