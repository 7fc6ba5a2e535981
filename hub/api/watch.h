/* Watchers: streamed answers that follow the log of events. Each is a place in
 * it, and reads on when there is more and its client has taken what it was
 * given; so a stalled one costs its buffer and delays nobody. */
#ifndef API_WATCH_H
#define API_WATCH_H

#include "api/api.h"
#include "api/events_query.h"

/* How events stand in a stream. */
enum api_watch_framing {
    API_WATCH_SSE,    /* text/event-stream */
    API_WATCH_NDJSON, /* application/x-ndjson: one CloudEvent a line. */
};

/* Answers, if need be with a problem. Takes what 'query' owns. 'place' is a
 * number that the log has given out, or 0. */
void api_watch(const struct api_request *, struct api_events_query *query,
               uint64_t place, enum api_watch_framing);

#endif
