/* The class 'amqp' on a real RabbitMQ, over mutual TLS; with CONFORM_JOINT on
 * one connection. */
#include "bus.h"
#include "rabbit.h"

#include "bus/amqp.h"

#include <signal.h>
#include <stdio.h>

static struct ist_loop *loop_of_test;

static int start(struct ist_loop *loop)
{
    int rc;

    signal(SIGPIPE, SIG_IGN);
    if (rabbit_start() || rabbit_objects())
        return -1;
    rc = ist_loop_init(loop);
    loop_of_test = loop;
    return rc;
}

static void stop(struct ist_loop *loop)
{
    ist_loop_fini(loop);
}

static struct ist_bus *make(const char *user,
                            const struct ist_bus_events *events, void *owner)
{
    char certificate[64], key[64], url[128];
    struct ist_amqp_conf conf = {.heartbeat_ms = 6000,
                                 .backoff_max_ms = 1000,
                                 .out_high = 8 << 20,
                                 .out_hard = 32 << 20,
                                 .body_max = 1114112};
    struct ist_err err = {0};
    struct ist_bus *bus;

#ifdef CONFORM_JOINT
    conf.joint = true;
#endif

    snprintf(certificate, sizeof(certificate), "%s.pem", user);
    snprintf(key, sizeof(key), "%s.key", user);
    snprintf(url, sizeof(url), "%s", rabbit_url());
    conf.url = url;
    conf.ca = (char *) (uintptr_t) rabbit_tls("ca.pem");
    conf.certificate = (char *) (uintptr_t) rabbit_tls(certificate);
    conf.key = (char *) (uintptr_t) rabbit_tls(key);
    bus = ist_amqp_new(loop_of_test, &conf, user, events, owner, &err);
    if (!bus)
        fprintf(stderr, "%s\n", err.text);
    return bus;
}

static void cut(struct ist_bus *bus)
{
    (void) bus;
    rabbit_cut();
}

static void block(bool on)
{
    if (rabbit_do(on ? "ctl set_vm_memory_high_watermark 0.0001"
                     : "ctl set_vm_memory_high_watermark absolute 1GB"))
        fprintf(stderr, "rabbitmqctl failed\n");
}

const struct conform_bus conform_bus = {
    .name = "amqp",
    .timeout_ms = 15000,
    .is_missing = rabbit_is_missing,
    .start = start,
    .stop = stop,
    .make = make,
    .cut = cut,
    .block = block,
};
