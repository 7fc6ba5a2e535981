/* One request of a client, passed to a site and its answer back, both as
 * streams: no more of either lies here than one side has granted the other.
 *
 *     client --on_body--> up ---Data--> agent
 *     client <--stream--- down <--frames-- agent
 *
 * A body that is short and of known length goes within the call. */
#ifndef FACADE_RELAY_H
#define FACADE_RELAY_H

#include "facade/facade.h"
#include "facade/services.h"

/* What is asked of whom. Strings are the request's. */
struct facade_asked {
    struct sites_site *site;
    const struct facade_service *service;
    const char *target; /* Behind the service: "/v2.1/servers?limit=2". */
    const char *base;   /* Of the region, for links:
                         * "https://hub:8443/r/hkg". */
    struct facade_caller caller;
};

/* Takes the request over; it is answered, whatever comes. */
void facade_relay_begin(struct facade *, struct ist_httpd_request *,
                        const struct facade_asked *);

/* The bus takes messages again. */
void facade_relay_drained(struct facade_relay *);
struct facade_relay *facade_relay_next(struct facade_relay *);

#endif
