/* Asks one OpenStack by hand, the way the agent does:
 *
 *     os_driver CLOUDS_YAML CLOUD list KIND [-l LIMIT] [-s MEMBER[:desc]]...
 *               [-f MEMBER=VALUE]... [-p] [-n TIMES] [-t TIMEOUT_MS] [-v]
 *     os_driver CLOUDS_YAML CLOUD show KIND ID
 *     os_driver CLOUDS_YAML CLOUD probe
 *
 * -p goes on page after page to the end; -n does it all so often, with one
 * token; -v prints the bodies. On stdout one line for each record: its keys
 * and its id; on stderr what it cost, and what went wrong. Exit status 0, or
 * 10 and the outcome. Used by tests/integ, and by people. */
#include "os/cloud.h"

#include "base/log.h"
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct driver {
    struct ist_loop loop;
    struct ist_http *http;
    struct ist_cloud_entry entry;
    struct os_conf conf;
    struct os_cloud *cloud;
    struct os_list list;
    struct os_show show;
    struct os_probe probe;
    char **argv;
    unsigned times;
    uint64_t timeout_ms, begun;
    bool pages, verbose;
    int status;

    /* The place behind which the next page begins. */
    char *after[IST_ORDER_KEYS_MAX], *after_id;
    const char *filter_values[OS_FILTERS_MAX][8];
};

static void stop(struct driver *d)
{
    os_cloud_close(d->cloud, NULL, NULL);
    ist_http_close(d->http, NULL, NULL);
}

static void say(struct driver *d, const struct ist_op *op, const char *what)
{
    fprintf(stderr, "%s: rc %d, %llu ms%s%s\n", what, op->rc,
            (unsigned long long) (ist_loop_now(&d->loop) - d->begun),
            op->rc ? ": " : "", op->rc ? op->err.text : "");
    if (op->rc)
        d->status = op->rc > 0 ? 10 + op->rc : 10;
}

static void print(const struct driver *d, const struct os_record *record,
                  size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++)
        printf("%.*s\t", (int) record->keys[i].size,
               (const char *) record->keys[i].data);
    printf("%s", record->id);
    if (d->verbose)
        printf("\t%.*s", (int) record->body.size,
               (const char *) record->body.data);
    putchar('\n');
}

static void list_again(struct driver *d);

static void keep_place(struct driver *d)
{
    const struct os_record *last = &d->list.records[d->list.n_records - 1];

    free(d->after_id);
    d->after_id = strdup(last->id);
    for (size_t i = 0; i < d->list.n_sort; i++) {
        free(d->after[i]);
        d->after[i] = strndup(last->keys[i].data ? last->keys[i].data : "",
                              last->keys[i].size);
        d->list.after.keys[i] =
            (struct ist_bytes){d->after[i], last->keys[i].size};
    }
    d->list.after.site = "";
    d->list.after.id = (struct ist_bytes){d->after_id, strlen(d->after_id)};
    d->list.has_after = true;
}

static void on_list(struct ist_op *op)
{
    struct os_list *list = IST_CONTAINER(op, struct os_list, op);
    struct driver *d = IST_CONTAINER(list, struct driver, list);
    bool more = d->pages && op->rc == 0 && list->n_records == list->limit;

    say(d, op, "list");
    fprintf(stderr, "  %zu records of %llu, %llu refused, %u exchanges\n",
            list->n_records, (unsigned long long) list->n_scanned,
            (unsigned long long) list->n_refused, list->n_pages);
    for (size_t i = 0; i < list->n_records && d->times <= 1; i++)
        print(d, &list->records[i], list->n_sort);
    if (more)
        keep_place(d);
    else
        d->list.has_after = false;
    os_list_fini(list);
    if (more || --d->times > 0)
        list_again(d);
    else
        stop(d);
}

static void list_again(struct driver *d)
{
    d->begun = ist_loop_now(&d->loop);
    ist_op_prepare(&d->list.op, &d->loop, NULL, d->timeout_ms, on_list);
    os_list_start(d->cloud, &d->list);
}

static void on_show(struct ist_op *op)
{
    struct os_show *show = IST_CONTAINER(op, struct os_show, op);
    struct driver *d = IST_CONTAINER(show, struct driver, show);

    say(d, op, "show");
    d->verbose = true;
    if (op->rc == 0)
        print(d, &show->record, 0);
    os_show_fini(show);
    stop(d);
}

static void on_probe(struct ist_op *op)
{
    struct os_probe *probe = IST_CONTAINER(op, struct os_probe, op);
    struct driver *d = IST_CONTAINER(probe, struct driver, probe);

    say(d, op, "probe");
    for (size_t i = 0; i < probe->n_services; i++) {
        const Isthmus__V1__Service *s = probe->services[i];

        printf("%s\t%s\t%s\t%s\t%u ms\t%s\n", s->name, s->up ? "up" : "down",
               s->min_version, s->max_version, s->latency_ms, s->detail);
    }
    os_probe_fini(probe);
    stop(d);
}

static void add_sort(struct driver *d, char *word)
{
    char *colon = strchr(word, ':');

    if (colon)
        *colon = '\0';
    d->list.sort[d->list.n_sort++] =
        (struct os_sort){word, colon && strcmp(colon + 1, "desc") == 0};
}

static void add_filter(struct driver *d, char *word)
{
    size_t n = d->list.n_filters++;
    struct os_filter *filter = &d->list.filters[n];
    char *equals = strchr(word, '=');

    *equals = '\0';
    filter->name = word;
    filter->values = d->filter_values[n];
    for (char *at = strtok(equals + 1, ","); at; at = strtok(NULL, ","))
        d->filter_values[n][filter->n_values++] = at;
}

static void options(struct driver *d, int argc, char **argv)
{
    int c;

    d->list.limit = 1000;
    d->times = 1;
    d->timeout_ms = 60000;
    while ((c = getopt(argc, argv, "l:s:f:pn:t:v")) != -1) {
        switch (c) {
        case 'l':
            d->list.limit = (size_t) atol(optarg);
            break;
        case 's':
            add_sort(d, optarg);
            break;
        case 'f':
            add_filter(d, optarg);
            break;
        case 'p':
            d->pages = true;
            break;
        case 'n':
            d->times = (unsigned) atoi(optarg);
            break;
        case 't':
            d->timeout_ms = (uint64_t) atoll(optarg);
            break;
        case 'v':
            d->verbose = true;
            break;
        default:
            exit(2);
        }
    }
    d->argv = argv + optind;
}

static bool start(struct driver *d, int argc)
{
    const char *verb = argc > 2 ? d->argv[2] : "";

    d->begun = ist_loop_now(&d->loop);
    if (strcmp(verb, "list") == 0 && argc == 4) {
        d->list.kind = d->argv[3];
        list_again(d);
    } else if (strcmp(verb, "show") == 0 && argc == 5) {
        d->show.kind = d->argv[3];
        d->show.id = d->argv[4];
        ist_op_prepare(&d->show.op, &d->loop, NULL, d->timeout_ms, on_show);
        os_show_start(d->cloud, &d->show);
    } else if (strcmp(verb, "probe") == 0 && argc == 3) {
        ist_op_prepare(&d->probe.op, &d->loop, NULL, d->timeout_ms, on_probe);
        os_probe_start(d->cloud, &d->probe);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct driver d;
    const struct ist_http_conf http = {.connect_timeout_ms = 5000,
                                       .idle_timeout_ms = 20000,
                                       .connections_max = 16,
                                       .per_host_max = 8,
                                       .headers_max = 65536};
    const struct ist_conf_table table = {os_rows, &d.conf};
    struct ist_conf_report report;
    struct ist_err err;

    options(&d, argc, argv);
    argc -= optind;
    ist_conf_report_init(&report);
    ist_log_level_set(IST_LOG_DEBUG);
    if (argc < 2 || ist_conf_load(NULL, &table, 1, &report, &err) ||
        ist_clouds_load(d.argv[0], d.argv[1], &d.entry, &err)) {
        fprintf(stderr, "os_driver: %s\n", argc < 2 ? "usage" : err.text);
        return 2;
    }
    /* Small, so that a test need not wait or send much. */
    if (getenv("OS_DRIVER_ANSWER_MAX"))
        d.conf.answer_max = (uint64_t) atoll(getenv("OS_DRIVER_ANSWER_MAX"));
    if (getenv("OS_DRIVER_PAGES_MAX"))
        d.conf.pages_max = (uint64_t) atoll(getenv("OS_DRIVER_PAGES_MAX"));
    if (ist_loop_init(&d.loop))
        return 2;
    d.http = ist_http_new(&d.loop, &http);
    d.cloud = os_cloud_new(&d.loop, d.http, &d.entry, &d.conf, &err);
    if (!d.cloud) {
        fprintf(stderr, "os_driver: %s\n", err.text);
        ist_http_close(d.http, NULL, NULL);
        d.status = 10;
    } else if (!start(&d, argc)) {
        fprintf(stderr, "os_driver: usage\n");
        stop(&d);
        d.status = 2;
    }
    ist_loop_run(&d.loop);
    ist_loop_fini(&d.loop);
    for (size_t i = 0; i < IST_ORDER_KEYS_MAX; i++)
        free(d.after[i]);
    free(d.after_id);
    ist_cloud_entry_fini(&d.entry);
    ist_conf_report_fini(&report);
    return d.status;
}
