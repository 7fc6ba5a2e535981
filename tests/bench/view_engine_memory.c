/* Maps in memory; rows in one log, of which pages are read through a mapping.
 * A transaction is one append, with a sum that says whether it is whole. From
 * time to time the maps are written to a snapshot: a restart reads that, and of
 * the log only what came behind it.
 *
 * Not here: the log is never written anew without its dead rows, and a snapshot
 * stops everything else while it is written. */
#include "view_engine_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_MAX (1ULL << 38) /* Address space. */
#define MAGIC   0x3177656976747369ULL

/* In front of the changes of a transaction; each has its size in front, with
 * the top bit for one that deletes. */
struct batch {
    uint64_t sum;
    uint32_t size, n;
};
#define IS_DELETE 0x80000000U

static void must(bool ok, const char *what)
{
    if (!ok)
        ve_die("memory: %s: %m", what);
}

static uint64_t sum_of(const uint8_t *data, size_t size)
{
    uint64_t sum = 0xCBF29CE484222325U ^ size, word;

    for (; size >= 8; size -= 8, data += 8) {
        memcpy(&word, data, 8);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15U;
        sum ^= sum >> 29;
    }
    for (; size; size--)
        sum = (sum ^ *data++) * 0x100000001B3U;
    return sum;
}

/* Names */

static uint32_t name_number(struct names *names, const void *text, size_t size)
{
    uint32_t at = (uint32_t) sum_of(text, size) % (2 * NAMES_MAX);

    for (; names->slots[at]; at = (at + 1) % (2 * NAMES_MAX)) {
        const char *name = names->names[names->slots[at] - 1];

        if (strlen(name) == size && memcmp(name, text, size) == 0)
            return names->slots[at] - 1;
    }
    if (names->n == NAMES_MAX)
        ve_die("memory: more than %d names", NAMES_MAX);
    names->names[names->n] = strndup(text, size);
    must(names->names[names->n] != NULL, "a name");
    names->slots[at] = ++names->n;
    return names->n - 1;
}

static const char *name_of(struct names *names, const char *text)
{
    return names->names[name_number(names, text, strlen(text))];
}

uint32_t memory_project(struct memory *m, const struct ist_bytes *project)
{
    return name_number(m->projects, project->data, project->size);
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->names[i]);
    free(names);
}

/* One row */

static void set_text(struct map_row *row, const struct ve_row *from)
{
    size_t size = 0;

    for (int i = 0; i < VE_MEMBERS; i++) {
        if (from->keys[i].size > UINT8_MAX)
            ve_die("memory: a key of %zu bytes", from->keys[i].size);
        row->sizes[i] = (uint8_t) from->keys[i].size;
        size += row->sizes[i];
    }
    row->text = malloc(size);
    must(row->text != NULL, "a row");
    size = 0;
    for (int i = 0; i < VE_MEMBERS; i++) {
        memcpy(row->text + size, from->keys[i].data, row->sizes[i]);
        size += row->sizes[i];
    }
}

static struct map_row make_row(struct memory *m, const struct ve_row *from,
                               uint64_t at, size_t size)
{
    struct map_row row = {.at = at, .size = (uint32_t) size};

    row.site = name_of(m->sites, from->site);
    row.project = memory_project(m, &from->project);
    set_text(&row, from);
    return row;
}

static bool is_same_place(const struct map *map, const struct map_row *a,
                          const struct map_row *b)
{
    struct ist_bytes x = map_row_key(a, map->member),
                     y = map_row_key(b, map->member);

    return ve_equal(&x, &y) && (!map->in_project || a->project == b->project);
}

static struct map_row *find_row(struct memory *m, const char *site,
                                const struct ist_bytes *id)
{
    struct map_place place = {.value = *id, .site = site, .id = *id};
    struct map_at at = map_seek(&m->maps[0], &place);
    struct map_row *row = map_get(&at);
    struct ist_bytes is;

    if (!row || strcmp(row->site, site) != 0)
        return NULL;
    is = map_row_key(row, VE_ID);
    return ve_equal(&is, id) ? row : NULL;
}

static void add_row(struct memory *m, const struct map_row *new)
{
    struct map_row *row = malloc(sizeof(*row));

    must(row != NULL, "a row");
    *row = *new;
    for (int i = 0; i < MAPS; i++)
        map_add(&m->maps[i], row);
}

/* Maps in which it stays where it is know it by its address. */
static void replace_row(struct memory *m, struct map_row *row,
                        const struct map_row *new)
{
    bool moves[MAPS];
    char *old = row->text;

    for (int i = 0; i < MAPS; i++) {
        moves[i] = !is_same_place(&m->maps[i], row, new);
        if (moves[i])
            map_remove(&m->maps[i], row);
    }
    *row = *new;
    for (int i = 0; i < MAPS; i++) {
        if (moves[i])
            map_add(&m->maps[i], row);
    }
    free(old);
}

static void free_row(struct map_row *row)
{
    free(row->text);
    free(row);
}

static void delete_row(struct memory *m, struct map_row *row)
{
    for (int i = 0; i < MAPS; i++)
        map_remove(&m->maps[i], row);
    free_row(row);
}

static void apply(struct memory *m, const struct ve_row *row, bool is_delete,
                  uint64_t at, size_t size)
{
    struct map_row *old = find_row(m, row->site, &row->keys[VE_ID]), new;

    if (is_delete) {
        if (old)
            delete_row(m, old);
        return;
    }
    new = make_row(m, row, at, size);
    if (old)
        replace_row(m, old, &new);
    else
        add_row(m, &new);
}

/* The log */

/* From a whole transaction in memory, which stands at 'at' in the log. */
static void apply_batch(struct memory *m, const struct batch *batch,
                        const uint8_t *data, uint64_t at)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        struct ve_row row;
        uint32_t size;
        bool is_delete;

        memcpy(&size, data, sizeof(size));
        is_delete = size & IS_DELETE;
        size &= ~IS_DELETE;
        ve_unpack(data + sizeof(size), size, &row);
        apply(m, &row, is_delete, at + sizeof(size), size);
        data += sizeof(size) + size;
        at += sizeof(size) + size;
    }
}

/* What is behind the last whole transaction never was. */
static void replay(struct memory *m, uint64_t from)
{
    uint64_t size = (uint64_t) lseek(m->log, 0, SEEK_END);
    struct batch batch;

    m->end = from;
    while (m->end + sizeof(batch) <= size) {
        const uint8_t *data = m->mapped + m->end + sizeof(batch);

        memcpy(&batch, m->mapped + m->end, sizeof(batch));
        if (batch.size > size - m->end - sizeof(batch) ||
            batch.sum != sum_of(data, batch.size))
            break;
        apply_batch(m, &batch, data, m->end + sizeof(batch));
        m->end += sizeof(batch) + batch.size;
    }
    must(ftruncate(m->log, (off_t) m->end) == 0, "cutting the log");
}

static void memory_write(void *self, const struct ve_change *changes, size_t n)
{
    struct memory *m = self;
    struct batch batch = {.n = (uint32_t) n};
    size_t need = sizeof(batch) + n * (sizeof(uint32_t) + VE_PACKED_MAX);
    uint8_t *at;

    if (need > m->batch_capacity) {
        m->batch = realloc(m->batch, need);
        must(m->batch != NULL, "a transaction");
        m->batch_capacity = need;
    }
    at = m->batch + sizeof(batch);
    for (size_t i = 0; i < n; i++) {
        uint32_t size = (uint32_t) ve_pack(&changes[i].row, at + sizeof(size));
        uint32_t word = size | (changes[i].is_delete ? IS_DELETE : 0);

        memcpy(at, &word, sizeof(word));
        at += sizeof(word) + size;
    }
    batch.size = (uint32_t) (at - m->batch) - (uint32_t) sizeof(batch);
    batch.sum = sum_of(m->batch + sizeof(batch), batch.size);
    memcpy(m->batch, &batch, sizeof(batch));
    must(pwrite(m->log, m->batch, (size_t) (at - m->batch), (off_t) m->end) ==
             at - m->batch,
         "the log");
    must(fdatasync(m->log) == 0, "the log");
    apply_batch(m, &batch, m->batch + sizeof(batch), m->end + sizeof(batch));
    m->end += (uint64_t) (at - m->batch);
}

/* The snapshot: names, rows in the order of their ids, each map as numbers */

struct snapshot {
    uint64_t magic, end, n;
};

/* Of a row; its keys follow. */
struct snapshot_row {
    uint64_t at;
    uint32_t size, site, project;
    uint8_t sizes[VE_MEMBERS];
};

static void put(FILE *file, const void *data, size_t size)
{
    must(fwrite(data, 1, size, file) == size, "the snapshot");
}

static void get(FILE *file, void *data, size_t size)
{
    must(fread(data, 1, size, file) == size, "the snapshot");
}

static void put_names(FILE *file, const struct names *names)
{
    put(file, &names->n, sizeof(names->n));
    for (uint32_t i = 0; i < names->n; i++) {
        uint8_t size = (uint8_t) strlen(names->names[i]);

        put(file, &size, 1);
        put(file, names->names[i], size);
    }
}

static void get_names(FILE *file, struct names *names)
{
    char name[256];
    uint32_t n;
    uint8_t size;

    get(file, &n, sizeof(n));
    for (uint32_t i = 0; i < n; i++) {
        get(file, &size, 1);
        get(file, name, size);
        name_number(names, name, size);
    }
}

static size_t text_size(const uint8_t *sizes)
{
    size_t size = 0;

    for (int i = 0; i < VE_MEMBERS; i++)
        size += sizes[i];
    return size;
}

static void put_row(FILE *file, struct memory *m, const struct map_row *row)
{
    struct snapshot_row out = {
        .at = row->at,
        .size = row->size,
        .site = name_number(m->sites, row->site, strlen(row->site)),
        .project = row->project,
    };

    memcpy(out.sizes, row->sizes, sizeof(out.sizes));
    put(file, &out, sizeof(out));
    put(file, row->text, text_size(row->sizes));
}

static struct map_row *get_row(FILE *file, struct memory *m)
{
    struct map_row *row = calloc(1, sizeof(*row));
    struct snapshot_row in;

    must(row != NULL, "a row");
    get(file, &in, sizeof(in));
    if (in.site >= m->sites->n || in.project >= m->projects->n)
        ve_die("memory: the snapshot is damaged");
    row->at = in.at;
    row->size = in.size;
    row->site = m->sites->names[in.site];
    row->project = in.project;
    memcpy(row->sizes, in.sizes, sizeof(row->sizes));
    row->text = malloc(text_size(row->sizes));
    must(row->text != NULL, "a row");
    get(file, row->text, text_size(row->sizes));
    return row;
}

static struct map_at map_start(const struct map *map)
{
    return (struct map_at){.map = map};
}

static void put_all(FILE *file, struct memory *m)
{
    struct snapshot head = {MAGIC, m->end, 0};
    struct map_row *row;

    put(file, &head, sizeof(head));
    put_names(file, m->sites);
    put_names(file, m->projects);
    for (struct map_at at = map_start(&m->maps[0]); (row = map_get(&at));
         map_next(&at)) {
        row->number = (uint32_t) head.n++;
        put_row(file, m, row);
    }
    for (int i = 0; i < MAPS; i++) {
        for (struct map_at at = map_start(&m->maps[i]); (row = map_get(&at));
             map_next(&at))
            put(file, &row->number, sizeof(row->number));
    }
    rewind(file);
    put(file, &head, sizeof(head));
}

static void memory_settle(void *self)
{
    struct memory *m = self;
    char path[4200], new[4200];
    FILE *file;

    snprintf(path, sizeof(path), "%s/snapshot", m->dir);
    snprintf(new, sizeof(new), "%s/snapshot.new", m->dir);
    file = fopen(new, "w");
    must(file != NULL, new);
    put_all(file, m);
    must(fflush(file) == 0 && fsync(fileno(file)) == 0 && fclose(file) == 0,
         new);
    must(rename(new, path) == 0, path);
}

/* Returns where the log goes on behind it. */
static uint64_t load(struct memory *m, const char *path)
{
    FILE *file = fopen(path, "r");
    struct map_row **rows;
    struct snapshot head;
    uint32_t number;

    if (!file)
        return 0;
    get(file, &head, sizeof(head));
    if (head.magic != MAGIC)
        ve_die("memory: %s is no snapshot", path);
    get_names(file, m->sites);
    get_names(file, m->projects);
    rows = calloc(head.n + 1, sizeof(struct map_row *));
    must(rows != NULL, path);
    for (uint64_t i = 0; i < head.n; i++)
        rows[i] = get_row(file, m);
    for (int i = 0; i < MAPS; i++) {
        for (uint64_t n = 0; n < head.n; n++) {
            get(file, &number, sizeof(number));
            if (number >= head.n)
                ve_die("memory: %s is damaged", path);
            map_append(&m->maps[i], rows[number]);
        }
    }
    free(rows);
    fclose(file);
    return head.end;
}

/* The engine */

static void *memory_open(const char *dir, uint64_t n_rows)
{
    struct memory *m = calloc(1, sizeof(*m));
    char path[4200];

    (void) n_rows;
    must(m != NULL, dir);
    m->sites = calloc(1, sizeof(*m->sites));
    m->projects = calloc(1, sizeof(*m->projects));
    must(m->sites && m->projects, dir);
    for (int i = 0; i < MAPS; i++) {
        m->maps[i].member = (enum ve_member)(i / 2);
        m->maps[i].in_project = i % 2;
    }
    snprintf(m->dir, sizeof(m->dir), "%s", dir);
    snprintf(path, sizeof(path), "%s/log", dir);
    m->log = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(m->log >= 0, path);
    m->mapped =
        mmap(NULL, LOG_MAX, PROT_READ, MAP_SHARED | MAP_NORESERVE, m->log, 0);
    must(m->mapped != MAP_FAILED, path);
    madvise((void *) (uintptr_t) m->mapped, LOG_MAX, MADV_RANDOM);
    snprintf(path, sizeof(path), "%s/snapshot", dir);
    replay(m, load(m, path));
    return m;
}

static void memory_close(void *self)
{
    struct memory *m = self;
    struct map_row *row;

    memory_settle(m);
    for (struct map_at at = map_start(&m->maps[0]); (row = map_get(&at));
         map_next(&at))
        free_row(row);
    for (int i = 0; i < MAPS; i++)
        map_fini(&m->maps[i]);
    names_free(m->sites);
    names_free(m->projects);
    munmap((void *) (uintptr_t) m->mapped, LOG_MAX);
    close(m->log);
    free(m->batch);
    free(m);
}

const struct ve_engine ve_memory = {
    .name = "memory",
    .flushes = "fdatasync of the log",
    .loses = "nothing",
    .open = memory_open,
    .write = memory_write,
    .settle = memory_settle,
    .page = memory_page,
    .lookup = memory_lookup,
    .close = memory_close,
};
