/* The ear at a site's RabbitMQ, without a feed behind it:
 *
 *     notify_driver TRANSPORT_URL_FILE SITE [declare] [ca FILE]
 *
 * What the feed would be told is a line on stdout: "touch KIND ID" or
 * "notified SERVICE on|off". When stdin ends it closes, in order, and says
 * "counts RECEIVED WANTED FAULTS". Used by tests/integ, and by people. */
#include "feed/notify.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

static struct {
    struct ist_loop loop;
    struct notify_conf conf;
    struct notify *notify;
    uv_pipe_t input;
    char buf[256];
} d;

/* In place of the feed's own. */

void feed_touch(struct feed *feed, const char *kind, const char *id)
{
    (void) feed;
    printf("touch %s %s\n", kind, id);
    fflush(stdout);
}

void feed_notified(struct feed *feed, const char *service, bool on)
{
    (void) feed;
    printf("notified %s %s\n", service, on ? "on" : "off");
    fflush(stdout);
}

static void on_closed(void *arg)
{
    (void) arg;
    ist_loop_stop(&d.loop);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void) handle, (void) size;
    *buf = uv_buf_init(d.buf, sizeof(d.buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    const struct notify_counts *counts = notify_counts(d.notify);
    uint64_t faults = 0;

    (void) buf;
    if (n >= 0)
        return;
    for (int i = NOTIFY_FINE + 1; i < NOTIFY_FAULTS; i++)
        faults += counts->faults[i];
    printf("counts %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts->received,
           counts->wanted, faults);
    fflush(stdout);
    uv_close((uv_handle_t *) stream, NULL);
    notify_close(d.notify, on_closed, NULL);
}

int main(int argc, char **argv)
{
    struct ist_err err = {0};

    if (argc < 3) {
        fputs("Usage: notify_driver TRANSPORT_URL_FILE SITE [declare] "
              "[ca FILE]\n",
              stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    d.conf = (struct notify_conf){.transport_url_file = argv[1],
                                  .queue_max = 10000,
                                  .queue_ttl_ms = 60000};
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "declare") == 0)
            d.conf.declare = true;
        if (strcmp(argv[i], "ca") == 0 && i + 1 < argc)
            d.conf.ca = argv[++i];
    }
    if (ist_loop_init(&d.loop))
        return 1;
    d.notify = notify_open(&d.loop, &d.conf, argv[2], (struct feed *) &d, &err);
    if (!d.notify) {
        fprintf(stderr, "notify_driver: %s\n", err.text);
        return 1;
    }
    uv_pipe_init(d.loop.uv, &d.input, 0);
    uv_pipe_open(&d.input, STDIN_FILENO);
    uv_read_start((uv_stream_t *) &d.input, on_alloc, on_read);
    ist_loop_run(&d.loop);
    ist_loop_fini(&d.loop);
    return 0;
}
