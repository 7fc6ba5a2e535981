#include "store/seen.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/sb.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NOW  1800000000000ULL
#define SKEW 30000ULL
#define LIFE 60000ULL

struct box {
    char dir[SCRATCH_SIZE];
    const char *path;
    struct ist_loop loop;
    struct ist_seen *seen;
    uint64_t rows_max;
    struct ist_err err;
};

static void open_at(struct box *box, uint64_t wall_ms)
{
    struct ist_seen_conf conf = {
        .path = box->path, .skew_ms = SKEW, .rows_max = box->rows_max};

    ist_loop_init_virtual(&box->loop, wall_ms);
    box->seen = ist_seen_open(&box->loop, &conf, &box->err);
    if (!box->seen)
        fail_msg("%s", box->err.text);
}

static void close_it(struct box *box)
{
    box->seen = ist_seen_free(box->seen);
    ist_loop_fini(&box->loop);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    box->path = strdup(scratch_path(box->dir, "seen.db"));
    open_at(box, NOW);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_it(box);
    scratch_drop(box->dir);
    free((char *) (uintptr_t) box->path);
    free(box);
    return 0;
}

static void done(struct ist_op *op)
{
    (void) op;
}

static struct ist_id id(unsigned n)
{
    struct ist_id id = {{0}};

    memcpy(id.b, &n, sizeof(n));
    return id;
}

static void fill(struct ist_seen_record *record, struct ist_loop *loop,
                 unsigned message, unsigned op, uint64_t expires_ms)
{
    *record = (struct ist_seen_record){.sender = id(1),
                                       .message = id(message),
                                       .op_id = id(op),
                                       .hash = {7},
                                       .expires_ms = expires_ms};
    ist_op_prepare(&record->op, loop, NULL, 0, done);
}

static int put(struct box *box, struct ist_seen_record *record)
{
    ist_seen_record(box->seen, record);
    while (record->op.state != IST_OP_IDLE)
        assert_true(ist_loop_step(&box->loop, UINT64_MAX));
    return record->op.rc;
}

static int record(struct box *box, unsigned message, unsigned op,
                  uint64_t expires_ms)
{
    struct ist_seen_record record;

    fill(&record, &box->loop, message, op, expires_ms);
    return put(box, &record);
}

static void pass(struct box *box, uint64_t ms)
{
    while (ist_loop_step(&box->loop, ist_loop_now(&box->loop) + ms))
        continue;
}

/* What is answered */

static void test_once(void **state)
{
    struct box *box = *state;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_AGAIN);
    assert_int_equal(record(box, 2, 2, NOW + LIFE), 0);
    assert_int_equal(ist_seen_rows(box->seen), 2);
}

static void test_senders_are_apart(void **state)
{
    struct box *box = *state;
    struct ist_seen_record other;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    fill(&other, &box->loop, 1, 1, NOW + LIFE);
    other.sender = id(2);
    assert_int_equal(put(box, &other), 0);
}

static void test_resent_op(void **state)
{
    struct box *box = *state;
    struct ist_seen_record again;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    fill(&again, &box->loop, 2, 1, NOW + LIFE);
    assert_int_equal(put(box, &again), IST_SEEN_AGAIN);
    assert_true(ist_id_eq(&again.first_message, &(struct ist_id){{1}}));
    assert_int_equal(ist_seen_rows(box->seen), 1);
}

static void test_conflicts(void **state)
{
    struct box *box = *state;
    struct ist_seen_record other;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    fill(&other, &box->loop, 2, 1, NOW + LIFE);
    other.hash[31] = 1;
    assert_int_equal(put(box, &other), IST_SEEN_CONFLICT);
    fill(&other, &box->loop, 1, 1, NOW + LIFE);
    other.hash[31] = 1;
    assert_int_equal(put(box, &other), IST_SEEN_CONFLICT);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_AGAIN);
}

static void test_resend_extends(void **state)
{
    struct box *box = *state;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    pass(box, LIFE - 1000);
    assert_int_equal(record(box, 2, 1, NOW + 10 * LIFE), IST_SEEN_AGAIN);
    /* The first would be forgotten by now. */
    pass(box, 8 * LIFE);
    assert_int_equal(record(box, 9, 9, NOW + 20 * LIFE), 0);
    assert_int_equal(record(box, 3, 1, NOW + 10 * LIFE), IST_SEEN_AGAIN);
}

static void test_late(void **state)
{
    struct box *box = *state;

    assert_int_equal(record(box, 1, 1, NOW - SKEW - 1), IST_SEEN_LATE);
    assert_int_equal(record(box, 2, 2, NOW - SKEW), 0);
    assert_int_equal(record(box, 3, 3, 0), IST_SEEN_LATE);
    assert_int_equal(record(box, 4, 4, UINT64_MAX), 0);
    assert_int_equal(record(box, 4, 4, UINT64_MAX), IST_SEEN_AGAIN);
}

/* Time */

static void test_restart(void **state)
{
    struct box *box = *state;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    close_it(box);
    open_at(box, NOW + 1000);
    assert_int_equal(ist_seen_rows(box->seen), 1);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_AGAIN);
    assert_int_equal(record(box, 2, 1, NOW + LIFE), IST_SEEN_AGAIN);
}

static void test_compaction(void **state)
{
    struct box *box = *state;

    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(record(box, i, i, NOW + LIFE), 0);
    /* Expired, but a sender with a slow clock may still be believed. */
    pass(box, LIFE + SKEW);
    assert_int_equal(record(box, 1000, 1000, NOW + 10 * LIFE), 0);
    assert_int_equal(ist_seen_rows(box->seen), 501);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_AGAIN);
    /* Gone, and refused all the same. */
    pass(box, LIFE + SKEW);
    assert_int_equal(record(box, 1001, 1001, NOW + 10 * LIFE), 0);
    assert_int_equal(ist_seen_rows(box->seen), 2);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_LATE);
}

static void test_clock_back(void **state)
{
    struct box *box = *state;
    uint64_t later = NOW + LIFE + 2 * SKEW + 60001;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    close_it(box);
    open_at(box, later);
    /* Compaction forgets the first. */
    assert_int_equal(record(box, 2, 2, later + LIFE), 0);
    assert_int_equal(ist_seen_rows(box->seen), 1);
    close_it(box);
    /* The clock goes back to where the first was valid: it is late still. */
    open_at(box, NOW);
    assert_int_equal(ist_seen_ahead_ms(box->seen), later - NOW);
    assert_true(ist_seen_now(box->seen) == later);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_LATE);
    assert_int_equal(record(box, 2, 2, later + LIFE), IST_SEEN_AGAIN);
}

static void test_time_is_stored_before_rows_go(void **state)
{
    struct box *box = *state;
    uint64_t later = NOW + LIFE + 2 * SKEW + 60001;

    assert_int_equal(record(box, 1, 1, NOW + LIFE), 0);
    close_it(box);
    open_at(box, later);
    /* Nothing new is recorded here: only a late one comes. */
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_LATE);
    assert_int_equal(ist_seen_rows(box->seen), 0);
    close_it(box);
    open_at(box, NOW);
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_LATE);
}

/* Caps */

static void test_full(void **state)
{
    struct box *box = *state;

    close_it(box);
    box->rows_max = 3;
    open_at(box, NOW);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(record(box, i, i, NOW + LIFE), 0);
    assert_int_equal(record(box, 4, 4, NOW + LIFE), IST_SEEN_FULL);
    assert_int_equal(record(box, 3, 3, NOW + LIFE), IST_SEEN_AGAIN);
    /* It was not recorded: later, with room, it is new. */
    pass(box, LIFE + 2 * SKEW + 1);
    assert_int_equal(record(box, 4, 4, NOW + 4 * LIFE), 0);
    assert_int_equal(ist_seen_rows(box->seen), 1);
}

static void test_full_in_one_batch(void **state)
{
    struct box *box = *state;
    struct ist_seen_record records[600];
    size_t n_new = 0, n_full = 0;

    close_it(box);
    box->rows_max = 300;
    open_at(box, NOW);
    for (unsigned i = 0; i < IST_COUNT(records); i++) {
        fill(&records[i], &box->loop, i, i, NOW + LIFE);
        ist_seen_record(box->seen, &records[i]);
    }
    pass(box, 1);
    for (unsigned i = 0; i < IST_COUNT(records); i++) {
        n_new += records[i].op.rc == 0;
        n_full += records[i].op.rc == IST_SEEN_FULL;
    }
    assert_int_equal(n_new, 300);
    assert_int_equal(n_full, 300);
    assert_int_equal(ist_seen_rows(box->seen), 300);
}

static void test_doubles_in_one_batch(void **state)
{
    struct box *box = *state;
    struct ist_seen_record records[50];
    size_t n_new = 0;

    for (unsigned i = 0; i < IST_COUNT(records); i++) {
        fill(&records[i], &box->loop, 5, 5, NOW + LIFE);
        ist_seen_record(box->seen, &records[i]);
    }
    pass(box, 1);
    for (unsigned i = 0; i < IST_COUNT(records); i++)
        n_new += records[i].op.rc == 0;
    assert_int_equal(n_new, 1);
}

static void test_raw_too_large(void **state)
{
    struct box *box = *state;
    struct ist_seen_record large;

    fill(&large, &box->loop, 1, 1, NOW + LIFE);
    large.raw = "";
    large.raw_size = IST_SEEN_RAW_MAX + 1;
    assert_int_equal(put(box, &large), -EMSGSIZE);
}

static int collect(void *arg, const struct ist_seen_record *record)
{
    struct ist_sb *out = arg;

    ist_sb_printf(out, "%u=%.*s ", record->message.b[0], (int) record->raw_size,
                  (const char *) record->raw);
    return record->message.b[0] == 9 ? 42 : 0;
}

static void test_raw_kept(void **state)
{
    struct box *box = *state;
    struct ist_seen_record with;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    fill(&with, &box->loop, 2, 2, NOW + 2 * LIFE);
    with.raw = "two";
    with.raw_size = 3;
    assert_int_equal(put(box, &with), 0);
    fill(&with, &box->loop, 1, 1, NOW + LIFE);
    with.raw = "one";
    with.raw_size = 3;
    assert_int_equal(put(box, &with), 0);
    assert_int_equal(record(box, 3, 3, NOW + LIFE), 0);
    close_it(box);
    open_at(box, NOW);
    assert_int_equal(ist_seen_each(box->seen, collect, &out), 0);
    assert_string_equal(ist_sb_text(&out), "1=one 2=two ");
    fill(&with, &box->loop, 9, 9, NOW);
    with.raw = "";
    assert_int_equal(put(box, &with), 0);
    assert_int_equal(ist_seen_each(box->seen, collect, &out), 42);
    ist_sb_fini(&out);
}

/* Files */

static struct ist_seen *try(struct box *box, const char *path)
{
    struct ist_seen_conf conf = {.path = path, .skew_ms = SKEW};

    return ist_seen_open(&box->loop, &conf, &box->err);
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_second_process(void **state)
{
    struct box *box = *state;
    pid_t pid = fork();
    int status;

    /* SQLite's locks are the process's: another one has to try. */
    if (pid == 0)
        _exit(!try(box, box->path) && box->err.code == -EBUSY ? 0 : 1);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void test_files_refused(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "other");
    struct ist_seen_conf conf = {.path = path, .skew_ms = 120001};
    struct stat st;

    assert_int_equal(stat(box->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_null(ist_seen_open(&box->loop, &conf, &box->err));
    assert_int_equal(box->err.code, -EINVAL);
    assert_null(try(box, box->dir));
    assert_null(try(box, "/nowhere/seen"));
    assert_int_equal(box->err.code, -ENOENT);

    scratch_write(path, "this is no database, and it is long enough to tell");
    chmod(path, 0600);
    assert_null(try(box, path));
    assert_int_equal(box->err.code, -EBADMSG);
    chmod(path, 0644);
    assert_null(try(box, path));
    assert_int_equal(box->err.code, -EACCES);
    unlink(path);

    sql(path, "CREATE TABLE t (x)");
    chmod(path, 0600);
    assert_null(try(box, path));
    assert_int_equal(box->err.code, -EBADMSG);
}

static void test_newer_version_refused(void **state)
{
    struct box *box = *state;

    close_it(box);
    sql(box->path, "PRAGMA user_version = 2");
    ist_loop_init_virtual(&box->loop, NOW);
    assert_null(try(box, box->path));
    assert_non_null(strstr(box->err.text, "version 2"));
    ist_loop_fini(&box->loop);
    sql(box->path, "PRAGMA user_version = 1");
    open_at(box, NOW);
}

static void test_damage_is_found(void **state)
{
    struct box *box = *state;
    size_t n_refused = 0, size;
    char *good, *bad;

    for (unsigned i = 0; i < 200; i++)
        record(box, i, i, NOW + LIFE);
    close_it(box);
    good = scratch_read(box->path, &size);
    bad = malloc(size);
    ist_loop_init_virtual(&box->loop, NOW);
    /* A page of zeros anywhere: refused, or none of ours was there. */
    for (size_t at = 0; at + 4096 <= size; at += 4096) {
        FILE *file = fopen(box->path, "w");
        struct ist_seen *seen;

        memcpy(bad, good, size);
        memset(bad + at, 0, 4096);
        assert_int_equal(fwrite(bad, 1, size, file), size);
        fclose(file);
        seen = try(box, box->path);
        n_refused += !seen;
        ist_seen_free(seen);
    }
    assert_true(n_refused >= size / 4096 - 2);
    ist_loop_fini(&box->loop);
    free(good);
    free(bad);
    unlink(box->path);
    unlink(scratch_path(box->dir, "seen.db-wal"));
    open_at(box, NOW);
}

/* Cancelling */

static void test_cancelled_while_waiting(void **state)
{
    struct box *box = *state;
    struct ist_seen_record a, b;

    /* The batch of the first is under way until the loop turns. */
    fill(&a, &box->loop, 1, 1, NOW + LIFE);
    fill(&b, &box->loop, 2, 2, NOW + LIFE);
    ist_seen_record(box->seen, &a);
    ist_seen_record(box->seen, &b);
    ist_op_cancel(&b.op, -ECANCELED);
    ist_op_cancel(&a.op, -ETIMEDOUT);
    pass(box, 1);
    assert_int_equal(a.op.rc, -ETIMEDOUT);
    assert_int_equal(b.op.rc, -ECANCELED);
    /* The first was being written, the second was not. */
    assert_int_equal(record(box, 1, 1, NOW + LIFE), IST_SEEN_AGAIN);
    assert_int_equal(record(box, 2, 2, NOW + LIFE), 0);
}

/* Crashes */

struct writer {
    struct ist_seen_record record;
    struct ist_seen *seen;
    struct ist_loop *loop;
    unsigned next;
    int out;
};

static void next(struct writer *);

static void written(struct ist_op *op)
{
    struct ist_seen_record *record =
        IST_CONTAINER(op, struct ist_seen_record, op);
    struct writer *writer = IST_CONTAINER(record, struct writer, record);

    if (op->rc != 0 ||
        write(writer->out, &writer->next, sizeof(writer->next)) < 0)
        _exit(1);
    next(writer);
}

static void next(struct writer *writer)
{
    writer->next += 4;
    fill(&writer->record, writer->loop, writer->next, writer->next,
         ist_loop_wall(writer->loop) + 3600000);
    writer->record.op.done = written;
    ist_seen_record(writer->seen, &writer->record);
}

/* Four writers at once, until killed. */
static void write_for_ever(const char *path, unsigned start, int out)
{
    struct ist_seen_conf conf = {.path = path, .skew_ms = SKEW};
    struct writer writers[4];
    struct ist_loop loop;
    struct ist_err err;
    struct ist_seen *seen;

    if (ist_loop_init(&loop) != 0)
        _exit(1);
    seen = ist_seen_open(&loop, &conf, &err);
    if (!seen)
        _exit(1);
    for (unsigned i = 0; i < 4; i++) {
        writers[i] = (struct writer){
            .seen = seen, .loop = &loop, .next = start + i, .out = out};
        next(&writers[i]);
    }
    ist_loop_run(&loop);
    _exit(1);
}

static unsigned kill_one(const char *path, unsigned start, unsigned n,
                         unsigned *acked)
{
    int fds[2], status;
    unsigned count = 0;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        write_for_ever(path, start, fds[1]);
    }
    close(fds[1]);
    while (count < n &&
           read(fds[0], &acked[count], sizeof(acked[0])) == sizeof(acked[0]))
        count++;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    while (count < 4096 &&
           read(fds[0], &acked[count], sizeof(acked[0])) == sizeof(acked[0]))
        count++;
    close(fds[0]);
    return count;
}

static void test_kill_9(void **state)
{
    struct box *box = *state;
    unsigned acked[4096], n;

    close_it(box);
    for (unsigned round = 0; round < 5; round++) {
        uint64_t wall = ist_clock_wall_ms();

        n = kill_one(box->path, round * 100000, 20 + 37 * round, acked);
        assert_true(n > 0);
        open_at(box, wall);
        /* What was said to be on disk is; at most four more are. */
        assert_true(ist_seen_rows(box->seen) >= n);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(record(box, acked[i], acked[i], wall + LIFE),
                             IST_SEEN_AGAIN);
        assert_int_equal(record(box, 99 + round * 100000 + 50000,
                                7000000 + round, wall + LIFE),
                         0);
        if (round < 4)
            close_it(box);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        /* First, while this process has no threads. */
        TEST(test_kill_9),
        TEST(test_second_process),
        TEST(test_once),
        TEST(test_senders_are_apart),
        TEST(test_resent_op),
        TEST(test_conflicts),
        TEST(test_resend_extends),
        TEST(test_late),
        TEST(test_restart),
        TEST(test_compaction),
        TEST(test_clock_back),
        TEST(test_time_is_stored_before_rows_go),
        TEST(test_full),
        TEST(test_full_in_one_batch),
        TEST(test_doubles_in_one_batch),
        TEST(test_raw_too_large),
        TEST(test_raw_kept),
        TEST(test_files_refused),
        TEST(test_newer_version_refused),
        TEST(test_damage_is_found),
        TEST(test_cancelled_while_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
