/* The feed on a disk that has no room: what cannot be written is held back and
 * said, what was written is sent, and nothing is lost once there is room. */
#include "world.h"

#include "base/log.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#define DISK_SIZE "size=2m"

/* Long enough that the file has to grow for a few. */
static void add_servers(struct box *box, char series, int n)
{
    char id[16], name[256];

    memset(name, series, sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "%c%d", series, i);
        add_server(box, id, name, "ACTIVE");
    }
}

static const char *trouble_of(struct box *box, const char *kind)
{
    const Isthmus__V1__FeedState *says;

    ist_arena_reset(&box->arena);
    says = feed_state(box->feed, &box->arena);
    for (size_t i = 0; i < says->n_kinds; i++) {
        if (strcmp(says->kinds[i]->kind, kind) == 0)
            return says->kinds[i]->trouble;
    }
    return "(none)";
}

static uint64_t position_of(struct box *box, const char *kind)
{
    const Isthmus__V1__FeedState *says;

    ist_arena_reset(&box->arena);
    says = feed_state(box->feed, &box->arena);
    for (size_t i = 0; i < says->n_kinds; i++) {
        if (strcmp(says->kinds[i]->kind, kind) == 0)
            return says->kinds[i]->position;
    }
    return 0;
}

/* Numbers without holes, all that was given out has come, and nothing waits. */
static void assert_whole(struct box *box, size_t n_servers)
{
    assert_int_equal(replica_count(box, "server"), n_servers);
    assert_string_equal(trouble_of(box, "server"), "");
    assert_int_equal(box->n_gaps, 0);
    assert_int_equal(box->n_refused, 0);
    assert_int_equal(feed_counts(box->feed)->dropped, 0);
    assert_int_equal(feed_counts(box->feed)->outbox_entries, 0);
    assert_int_equal(feed_counts(box->feed)->outbox_bytes, 0);
    assert_int_equal(*hub_position(box, "server"), position_of(box, "server"));
}

/* Ways to be full. Each takes all room there is, and gives it back. */

static void limit_files(uint64_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void fill_limit(struct box *box)
{
    struct stat st;

    assert_int_equal(stat(scratch_path(box->dir, "feed.db"), &st), 0);
    limit_files((uint64_t) st.st_size);
}

static void empty_limit(struct box *box)
{
    (void) box;
    limit_files(UINT64_MAX);
}

static void fill_disk(struct box *box)
{
    static char block[4096];
    int fd = open(scratch_path(box->dir, "others"), O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void empty_disk(struct box *box)
{
    assert_int_equal(unlink(scratch_path(box->dir, "others")), 0);
}

struct way {
    void (*fill)(struct box *), (*empty)(struct box *);
    const char *reason; /* As the system has it; LMDB may say EIO for the
                         * first. */
};

static const struct way ways[] = {
    {fill_limit, empty_limit, ""},
    {fill_disk, empty_disk, "No space left on device"},
};

/* A small disk of its own for the box; false: this process may not mount. */
static bool mount_disk(struct box *box)
{
    static bool is_apart;

    if (!is_apart && unshare(CLONE_NEWNS))
        return false;
    is_apart = true;
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return mount("tmpfs", box->dir, "tmpfs", 0, DISK_SIZE) == 0;
}

/* Set-up: all is well, and the hub has what there is. */

static const struct way *way;
static bool has_disk;

static int setup(void **state)
{
    struct box *box = box_new();

    way = *state;
    has_disk = way->fill == fill_disk && mount_disk(box);
    add_servers(box, 'a', 20);
    *state = box;
    if (way->fill == fill_disk && !has_disk)
        return 0;
    box_open(box);
    run_ms(box, 10000);
    assert_whole(box, 20);
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    limit_files(UINT64_MAX);
    if (box->feed)
        box_close(box);
    if (has_disk)
        umount(box->dir);
    box_free(box);
    return 0;
}

/* One that may not mount knows the other way only. */
static struct box *box_of(void **state)
{
    struct box *box = *state;

    if (!box->feed)
        skip();
    return box;
}

static void test_what_cannot_be_written_is_held_back(void **state)
{
    struct box *box = box_of(state);

    way->fill(box);
    add_servers(box, 'b', 500);
    run_ms(box, 120000);
    if (!strstr(trouble_of(box, "server"), way->reason))
        fail_msg("says '%s'", trouble_of(box, "server"));
    assert_non_null(strstr(trouble_of(box, "server"), "feed.db"));
    /* Kinds of which nothing is new are read as before. */
    assert_string_equal(trouble_of(box, "network"), "");
    /* Nothing of what is held back has a number. */
    assert_int_equal(*hub_position(box, "server"), position_of(box, "server"));
    assert_true(replica_count(box, "server") < 520);
    assert_int_equal(box->n_gaps, 0);
    way->empty(box);
    run_ms(box, 120000);
    assert_whole(box, 520);
}

/* Also what is touched, row by row, and what is gone. */
static void test_touched_rows_come_when_there_is_room(void **state)
{
    struct box *box = box_of(state);
    char id[16];

    feed_notified(box->feed, "compute", true);
    run_ms(box, 5000);
    way->fill(box);
    add_servers(box, 'b', 200);
    for (int n = 0; n < 200; n++) {
        snprintf(id, sizeof(id), "b%d", n);
        feed_touch(box->feed, "server", id);
    }
    fake_site_remove(box->w.site, "server", "a3");
    feed_touch(box->feed, "server", "a3");
    run_ms(box, 60000);
    assert_string_not_equal(trouble_of(box, "server"), "");
    way->empty(box);
    run_ms(box, 120000);
    assert_whole(box, 219);
    assert_int_equal(replica_find(box, "server", "a3"), -1);
}

/* What was written before is sent, whether it can be struck off or not. */
static void test_the_outbox_is_sent_from_a_full_disk(void **state)
{
    struct box *box = box_of(state);

    ist_mem_broker_crash(box->broker, 120000);
    add_servers(box, 'b', 100);
    run_ms(box, 60000);
    assert_int_equal(replica_count(box, "server"), 20);
    way->fill(box);
    run_ms(box, 120000);
    assert_int_equal(replica_count(box, "server"), 120);
    way->empty(box);
    add_servers(box, 'c', 1);
    run_ms(box, 60000);
    assert_whole(box, 121);
}

/* Closed and opened on the full disk, it goes on where it was. */
static void test_a_restart_on_a_full_disk(void **state)
{
    struct box *box = box_of(state);
    uint64_t epoch = box->epoch;

    way->fill(box);
    add_servers(box, 'b', 500);
    run_ms(box, 60000);
    box_close(box);
    box_open(box);
    run_ms(box, 60000);
    assert_string_not_equal(trouble_of(box, "server"), "");
    way->empty(box);
    run_ms(box, 120000);
    assert_whole(box, 520);
    assert_int_equal(box->epoch, epoch);
}

#define TEST(name, way)                                                        \
    cmocka_unit_test_prestate_setup_teardown(name, setup, teardown,            \
                                             (void *) (uintptr_t) &ways[way])
#define EACH_WAY(name) TEST(name, 0), TEST(name, 1)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_WAY(test_what_cannot_be_written_is_held_back),
        EACH_WAY(test_touched_rows_come_when_there_is_room),
        EACH_WAY(test_the_outbox_is_sent_from_a_full_disk),
        EACH_WAY(test_a_restart_on_a_full_disk),
    };

    if (sodium_init() < 0)
        return 1;
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
