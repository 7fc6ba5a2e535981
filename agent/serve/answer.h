/* One answer on its way: what a call asked, what was found, and how much of it
 * the hub wants now. */
#ifndef SERVE_ANSWER_H
#define SERVE_ANSWER_H

#include "os/visitor.h"
#include "serve/assertion.h"
#include "serve/stream.h"

struct serve_answer {
    struct serve *serve;
    struct ist_op op; /* The whole of it; its deadline is the call's. */
    struct serve_stream stream; /* Its id is the call's op id. */

    const struct serve_verb *verb;
    struct serve_relay *relay;     /* Owned; NULL: the call is no relay. */
    struct ist_arena arena;        /* The call, unpacked. */
    const Isthmus__V1__Call *call; /* In the arena. */
    struct serve_asserted word;    /* Whose it is. */
    bool is_rewritten;             /* The records of a list are, so: */
    struct ist_rewriting rewriting;
    struct ist_arena frame; /* Those of the frame that is being sent. */
    struct os_list list;
    struct os_show show;
    struct os_probe probe;
    struct os_visitor visitor;
    struct feed_settle settle;

    /* What is to be sent. */
    const struct os_record *records; /* Borrowed from the work above. */
    size_t n_records, next_record;
    const Isthmus__V1__Service *const *services;
    size_t n_services;
    const Isthmus__V1__FeedState *feed;    /* In the arena; NULL: none. */
    const Isthmus__V1__Identity *identity; /* The same. */
    Isthmus__V1__Mapping **mappings;
    size_t n_mappings;
    bool has_more;      /* Behind those: the list goes on when credit comes. */
    uint64_t granted;   /* Records that may still be sent. */
    uint64_t n_skipped; /* Not said yet. */
    char *skipped_why;  /* In the arena; NULL: none yet. */
    Isthmus__V1__Failure failure;
    bool has_failed, is_ready, is_stalled;
    RB_ENTRY(serve_answer) node;
};

/* Begins to answer 'call'. The letter is the call's; both are only looked at
 * until this returns. */
void serve_answer_start(struct serve *, const struct ist_letter *);

RB_PROTOTYPE(serve_answers, serve_answer, node, )

struct serve_answer *serve_answer_find(struct serve *, const struct ist_id *);
void serve_answer_credit(struct serve_answer *, uint32_t records);

/* Ends those of the calls that are under way: nobody waits for them. */
void serve_answers_over(struct serve *, const ProtobufCBinaryData *ids,
                        size_t n);

/* Sends what may be sent; called again when the bus has drained. */
void serve_answer_pump(struct serve_answer *);

/* For serve/ only: the answer is to be this failure, and none of what was
 * found. */
void serve_answer_fail(struct serve_answer *, Isthmus__V1__Failure__Code,
                       const struct ist_err *);

/* The same in words of ours. */
void serve_answer_refuse(struct serve_answer *, Isthmus__V1__Failure__Code,
                         const char *text);

/* What a call does, as the policy judges it. 'project' NULL: any. */
struct serve_asked {
    enum policy_verb verb;
    const char *kind, *project;
};

#endif
