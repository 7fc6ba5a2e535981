#include "feed/notify_read.h"

#include "codec/json.h"
#include "model/kind.h"

#include <errno.h>
#include <string.h>

#define TYPE_MAX    127 /* Bytes of an event type. */
#define ID_MAX      255
#define PATHS_MAX   2
#define TOUCHES_MAX 2
#define KEEP_MAX    (64U * 1024) /* Of the scratch, between messages. */

/* A kind that a type of event tells of. */
struct touch {
    const char *kind;
    const char *paths[PATHS_MAX]; /* Its id, tried in turn; none: all. */
    const char *each;  /* A list of ids; with paths, of what has them. */
    const char *owner; /* Only if this begins with "compute:". */
    bool maybe;        /* No id: it tells of none, rather than of all. */
};

struct row {
    const char *service, *prefix;
    /* Before it happens is worth knowing too: else ".start" is not read. */
    bool starts;
    struct touch touches[TOUCHES_MAX];
};

#define DATA "/nova_object.data/"

/* The first row whose prefix fits counts; one without touches is not wanted.
 * Nova's older form is here beside its versioned one: operators choose. */
static const struct row rows[] = {
    {.service = "compute", .prefix = "instance.exists"},
    {.service = "compute",
     .prefix = "instance.volume_",
     .touches = {{.kind = "server", .paths = {DATA "uuid"}},
                 {.kind = "volume",
                  .paths = {DATA "volume_id"},
                  .maybe = true}}},
    {.service = "compute",
     .prefix = "instance.",
     .touches = {{.kind = "server", .paths = {DATA "uuid"}}}},
    {.service = "compute", .prefix = "compute.instance.exists"},
    {.service = "compute",
     .prefix = "compute.instance.",
     .touches = {{.kind = "server", .paths = {"instance_id"}},
                 {.kind = "volume", .paths = {"volume_id"}, .maybe = true}}},
    {.service = "compute",
     .prefix = "keypair.",
     .touches = {{.kind = "keypair", .paths = {DATA "name", "key_name"}}}},
    {.service = "compute",
     .prefix = "flavor.",
     .touches = {{.kind = "flavor", .paths = {DATA "flavorid"}}}},
    {.service = "compute",
     .prefix = "server_group.",
     .touches = {{.kind = "server-group", .paths = {DATA "uuid"}}}},
    {.service = "compute",
     .prefix = "servergroup.",
     .touches = {{.kind = "server-group", .paths = {"server_group_id"}}}},
    {.service = "compute",
     .prefix = "aggregate.",
     .touches = {{.kind = "availability-zone"}}},
    {.service = "compute",
     .prefix = "service.",
     .touches = {{.kind = "compute-service"}, {.kind = "hypervisor"}}},

    /* With it its subnets are gone, of which nothing else is told. */
    {.service = "network",
     .prefix = "network.delete.",
     .touches = {{.kind = "network", .paths = {"network.id", "network_id"}},
                 {.kind = "subnet", .each = "network.subnets", .maybe = true}}},
    {.service = "network",
     .prefix = "network.",
     .touches = {{.kind = "network", .paths = {"network.id", "network_id"}}}},
    /* A network names its subnets. */
    {.service = "network",
     .prefix = "subnet.",
     .touches = {{.kind = "subnet", .paths = {"subnet.id", "subnet_id"}},
                 {.kind = "network", .paths = {"subnet.network_id"}}}},
    /* A server shows the addresses of its ports. */
    {.service = "network",
     .prefix = "port.",
     .touches = {{.kind = "port", .paths = {"port.id", "port_id"}},
                 {.kind = "server",
                  .paths = {"port.device_id"},
                  .owner = "port.device_owner",
                  .maybe = true}}},
    {.service = "network",
     .prefix = "router.interface.",
     .touches = {{.kind = "router", .paths = {"router_interface.id"}},
                 {.kind = "port", .paths = {"router_interface.port_id"}}}},
    {.service = "network",
     .prefix = "router.",
     .touches = {{.kind = "router", .paths = {"router.id", "router_id"}}}},
    {.service = "network",
     .prefix = "floatingip.",
     .touches = {{.kind = "floating-ip",
                  .paths = {"floatingip.id", "floatingip_id"}},
                 {.kind = "server",
                  .paths = {"floatingip.port_details.device_id"},
                  .owner = "floatingip.port_details.device_owner",
                  .maybe = true}}},
    {.service = "network",
     .prefix = "security_group.",
     .touches = {{.kind = "security-group",
                  .paths = {"security_group.id", "security_group_id"}}}},
    {.service = "network",
     .prefix = "security_group_rule.",
     .touches = {{.kind = "security-group",
                  .paths = {"security_group_rule.security_group_id"}}}},
    {.service = "network",
     .prefix = "quota.",
     .touches = {{.kind = "network-quota"}}},

    {.service = "volume", .prefix = "volume.exists"},
    {.service = "volume", .prefix = "snapshot.exists"},
    {.service = "volume",
     .prefix = "volume.",
     .starts = true,
     .touches = {{.kind = "volume", .paths = {"volume_id"}},
                 {.kind = "server",
                  .paths = {"instance_uuid"},
                  .each = "volume_attachment",
                  .maybe = true}}},
    {.service = "volume",
     .prefix = "snapshot.",
     .starts = true,
     .touches = {{.kind = "snapshot", .paths = {"snapshot_id"}}}},
    {.service = "volume",
     .prefix = "volume_type.",
     .touches = {{.kind = "volume-type"}}},
    {.service = "volume",
     .prefix = "volume_type_extra_specs.",
     .touches = {{.kind = "volume-type"}}},

    {.service = "image", .prefix = "image.send"},
    {.service = "image",
     .prefix = "image.member.",
     .touches = {{.kind = "image", .paths = {"image_id"}}}},
    {.service = "image",
     .prefix = "image.",
     .touches = {{.kind = "image", .paths = {"id"}}}},

    {.service = "identity",
     .prefix = "identity.project.",
     .touches = {{.kind = "project", .paths = {"resource_info"}}}},
};

const char *notify_fault_name(enum notify_fault fault)
{
    static const char *const names[NOTIFY_FAULTS] = {
        [NOTIFY_FINE] = "none",   [NOTIFY_LARGE] = "large",
        [NOTIFY_SYNTAX] = "json", [NOTIFY_DEPTH] = "depth",
        [NOTIFY_SHAPE] = "shape", [NOTIFY_TWICE] = "twice",
        [NOTIFY_ID] = "id",
    };

    return names[fault];
}

void notify_touch_all(const char *service, notify_touch_fn *touch, void *arg)
{
    const struct ist_kind *kinds;
    size_t n;

    kinds = ist_kinds(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(kinds[i].service, service) == 0)
            touch(arg, kinds[i].name, "");
    }
}

/* JSON */

struct picking {
    size_t n;
    struct ist_json_slice *ret;
    enum notify_fault fault;
};

static int on_object(void *arg, const struct ist_json_element *element)
{
    struct picking *picking = arg;

    picking->fault =
        element->refusal == IST_JSON_FINE ? NOTIFY_FINE : NOTIFY_TWICE;
    memcpy(picking->ret, element->picks,
           picking->n * sizeof(struct ist_json_slice));
    return 0;
}

static bool is_object(struct ist_json_slice text)
{
    size_t blank = 0;

    while (blank < text.size && strchr(" \t\r\n", text.data[blank]))
        blank++;
    return blank < text.size && text.data[blank] == '{';
}

/* Members of an object that is all of 'text', which is checked to its end. */
static enum notify_fault pick(struct ist_json_slice text,
                              const char *const *paths, size_t n,
                              struct ist_json_slice *ret)
{
    const struct ist_json_want want = {
        .collection = "",
        .picks = paths,
        .n_picks = n,
        .element_max = NOTIFY_BODY_MAX,
    };
    struct picking picking = {.n = n, .ret = ret, .fault = NOTIFY_SHAPE};
    struct ist_json_split split;
    int rc;

    if (!is_object(text))
        return NOTIFY_SHAPE;
    ist_json_split_init(&split, &want, on_object, &picking);
    rc = ist_json_split_feed(&split, text.data, text.size);
    if (rc == 0)
        rc = ist_json_split_end(&split);
    ist_json_split_fini(&split);
    if (rc)
        return rc == IST_JSON_E_DEPTH ? NOTIFY_DEPTH : NOTIFY_SYNTAX;
    return picking.fault;
}

/* What was written as a string within the outer text; or the outer text itself,
 * from a driver that wraps nothing. */
static enum notify_fault unwrap(struct ist_json_slice body,
                                struct ist_sb *scratch,
                                struct ist_json_slice *ret)
{
    static const char *const paths[] = {"/oslo.message"};
    struct ist_json_slice inner;
    enum notify_fault fault = pick(body, paths, 1, &inner);
    char *room;

    if (fault)
        return fault;
    *ret = body;
    if (ist_json_type(inner) == IST_JSON_ABSENT)
        return NOTIFY_FINE;
    room = ist_sb_reserve(scratch, inner.size);
    if (!room || !ist_json_text(inner, room, inner.size, &scratch->len))
        return NOTIFY_SHAPE;
    *ret = (struct ist_json_slice){room, scratch->len};
    return NOTIFY_FINE;
}

/* Rows */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static const struct row *find_row(const char *service, const char *type)
{
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        const struct row *row = &rows[i];

        if (strcmp(row->service, service) != 0 ||
            strncmp(row->prefix, type, strlen(row->prefix)) != 0)
            continue;
        if (!row->touches[0].kind ||
            (!row->starts && ends_with(type, ".start")))
            return NULL;
        return row;
    }
    return NULL;
}

/* Only what may stand in the path of a request as it is. */
static bool is_id(const char *text, size_t len)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";

    return len && len <= ID_MAX && strspn(text, good) == len &&
           strspn(text, ".") < len;
}

enum found { NONE, BAD, GOOD };

static enum found take_id(struct ist_json_slice slice, char *ret)
{
    enum ist_json_type type = ist_json_type(slice);
    size_t len;

    if (type == IST_JSON_ABSENT || type == IST_JSON_NULL)
        return NONE;
    return ist_json_text(slice, ret, ID_MAX + 1, &len) && is_id(ret, len) ? GOOD
                                                                          : BAD;
}

static enum found find_id(struct ist_json_slice object,
                          const struct touch *touch, char *ret)
{
    enum found found = NONE;

    if (!touch->paths[0] && touch->each)
        return take_id(object, ret);
    for (size_t i = 0; i < PATHS_MAX && touch->paths[i]; i++) {
        enum found one = take_id(ist_json_find(object, touch->paths[i]), ret);

        if (one == GOOD)
            return GOOD;
        found = one ? one : found;
    }
    return found;
}

struct items {
    const struct touch *touch;
    notify_touch_fn *fn;
    void *arg;
    size_t n;
};

static int on_item(void *arg, const struct ist_json_element *element)
{
    struct items *items = arg;
    char id[ID_MAX + 1];

    if (++items->n > NOTIFY_IDS_MAX)
        return -E2BIG;
    if (find_id(element->bytes, items->touch, id) == GOOD)
        items->fn(items->arg, items->touch->kind, id);
    return 0;
}

static bool is_owned(const struct touch *touch, struct ist_json_slice payload)
{
    static const char compute[] = "compute:";
    char owner[ID_MAX + 1];

    return !touch->owner || (ist_json_text(ist_json_find(payload, touch->owner),
                                           owner, sizeof(owner), NULL) &&
                             strncmp(owner, compute, strlen(compute)) == 0);
}

static enum notify_fault touch_one(const struct touch *touch,
                                   struct ist_json_slice payload,
                                   notify_touch_fn *fn, void *arg)
{
    struct items items = {.touch = touch, .fn = fn, .arg = arg};
    struct ist_json_slice list;
    char id[ID_MAX + 1];
    enum found found;

    if (!is_owned(touch, payload))
        return NOTIFY_FINE;
    if (touch->each) {
        list = ist_json_find(payload, touch->each);
        if (ist_json_type(list) == IST_JSON_ARRAY &&
            ist_json_each(list, NULL, 0, on_item, &items) == -E2BIG)
            fn(arg, touch->kind, "");
        return NOTIFY_FINE;
    }
    found = find_id(payload, touch, id);
    if (found != GOOD && touch->maybe)
        return NOTIFY_FINE;
    fn(arg, touch->kind, found == GOOD ? id : "");
    return found == GOOD || !touch->paths[0] ? NOTIFY_FINE : NOTIFY_ID;
}

static enum notify_fault touch_row(const struct row *row,
                                   struct ist_json_slice payload,
                                   notify_touch_fn *fn, void *arg)
{
    enum notify_fault fault = NOTIFY_FINE;

    for (size_t i = 0; i < TOUCHES_MAX && row->touches[i].kind; i++) {
        enum notify_fault one = touch_one(&row->touches[i], payload, fn, arg);

        fault = fault ? fault : one;
    }
    return fault;
}

/* The message */

static struct notify_verdict read_inner(const char *service,
                                        struct ist_json_slice text,
                                        notify_touch_fn *touch, void *arg)
{
    static const char *const paths[] = {"event_type", "payload"};
    struct ist_json_slice picks[IST_COUNT(paths)];
    struct notify_verdict verdict = {
        .fault = pick(text, paths, IST_COUNT(paths), picks)};
    char type[TYPE_MAX + 1];
    const struct row *row;
    size_t len;

    if (verdict.fault)
        return verdict;
    if (!ist_json_text(picks[0], type, sizeof(type), &len) ||
        strlen(type) != len) {
        verdict.fault = NOTIFY_SHAPE;
        return verdict;
    }
    row = find_row(service, type);
    if (!row)
        return verdict;
    verdict.wanted = true;
    verdict.fault = touch_row(row, picks[1], touch, arg);
    if (ist_json_type(picks[1]) != IST_JSON_OBJECT)
        verdict.fault = NOTIFY_SHAPE;
    return verdict;
}

static void wipe(struct ist_sb *scratch)
{
    if (scratch->size)
        explicit_bzero(scratch->data, scratch->size);
    if (scratch->size > KEEP_MAX) {
        size_t cap = scratch->cap;

        ist_sb_fini(scratch);
        ist_sb_init(scratch, cap);
    }
    ist_sb_reset(scratch);
}

struct notify_verdict notify_read(const char *service, const void *body,
                                  size_t size, struct ist_sb *scratch,
                                  notify_touch_fn *touch, void *arg)
{
    struct ist_json_slice text = {body, size};
    struct notify_verdict verdict = {.fault = NOTIFY_LARGE};

    if (size > NOTIFY_BODY_MAX) {
        notify_touch_all(service, touch, arg);
        return verdict;
    }
    verdict.fault = unwrap(text, scratch, &text);
    if (verdict.fault == NOTIFY_FINE)
        verdict = read_inner(service, text, touch, arg);
    wipe(scratch);
    return verdict;
}
