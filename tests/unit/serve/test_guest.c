/* Users with tokens of their own: who gets a login, who shares one, and who
 * has to go. */
#include "word.h"

static struct serve_guests *guests;
static struct ist_cloud_entry own = {
    .name = (char *) "hkg",
    .auth = IST_CLOUD_PASSWORD,
    .auth_url = (char *) "http://10.0.0.1:5000/v3",
    .username = (char *) "agent",
    .password = (char *) "secret",
    .project_name = (char *) "admin",
};

static int setup_guests(void **state)
{
    struct box *box;

    setup(state);
    box = *state;
    guests = serve_guests_new(&box->loop, NULL, NULL, &own);
    box->serve.guests = guests;
    return 0;
}

static void on_closed(void *arg)
{
    *(bool *) arg = true;
}

static int teardown_guests(void **state)
{
    struct box *box = *state;
    bool closed = false;

    serve_stop(&box->serve);
    run(box, 100);
    serve_guests_close(guests, on_closed, &closed);
    run(box, 100);
    assert_true(closed);
    return teardown(state);
}

static struct serve_guest *get(const char *token, const char *project)
{
    return serve_guests_get(guests, token, strlen(token), project);
}

static void test_shared(void **state)
{
    struct serve_guest *a = get("token-a", "p1"), *again = get("token-a", "p1");
    struct serve_guest *b = get("token-b", "p1"), *other = get("token-a", "p2");

    (void) state;
    assert_non_null(a);
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, other);
    assert_string_equal(other->project, "p2");
    serve_guest_release(a);
    serve_guest_release(again);
    serve_guest_release(b);
    serve_guest_release(other);
    serve_guest_release(NULL);
}

static void test_none(void **state)
{
    char large[9000];

    (void) state;
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    assert_null(get("", "p"));
    assert_null(get("a b", "p"));
    assert_null(get("a\n", "p"));
    assert_null(get(large, "p"));
    assert_null(get("a", ""));
    assert_null(get("a", "p\"q r"));
    large[65] = '\0';
    assert_null(get("a", large));
}

static void test_as_many_as_may(void **state)
{
    struct serve_guest *held[SERVE_GUESTS_MAX];
    struct box *box = *state;
    char token[16];

    for (unsigned i = 0; i < SERVE_GUESTS_MAX; i++) {
        snprintf(token, sizeof(token), "t%u", i);
        held[i] = get(token, "p");
        assert_non_null(held[i]);
    }
    assert_null(get("one more", "p"));
    assert_null(get("one-more", "p"));
    serve_guest_release(held[7]);
    run(box, 10);
    assert_non_null(held[7] = get("one-more", "p")); /* In its place. */
    assert_null(get("t7", "p"));
    for (unsigned i = 0; i < SERVE_GUESTS_MAX; i++)
        serve_guest_release(held[i]);
    run(box, 400000); /* All have rested long enough. */
    for (unsigned i = 0; i < SERVE_GUESTS_MAX; i++) {
        snprintf(token, sizeof(token), "u%u", i);
        assert_non_null(held[i] = get(token, "p"));
        serve_guest_release(held[i]);
    }
}

/* A relay as him: no row of projects.yaml is asked for. */
static void test_a_relay(void **state)
{
    struct box *box = *state;
    struct word word;

    for (int i = 0; i < 2; i++) {
        prepare(box, &word, "GET", NULL);
        word.assertion.user = (char *) "hkg/alice";
        word.assertion.project = (char *) "4c1f0000000000000000000000000001";
        word.assertion.project_name = (char *) "hkg/shop";
        word.relay.token = (ProtobufCBinaryData){5, (uint8_t *) "token"};
        word.relay.project = (char *) "0123";
        box->serve.guests = i == 0 ? guests : NULL;
        say(box, &word);
        if (i == 1)
            break;
        assert_non_null(cloud.exchange);
        assert_ptr_equal(cloud.exchange->cloud, get("token", "0123")->cloud);
        serve_guest_release(get("token", "0123"));
        serve_guest_release(get("token", "0123"));
        assert_string_equal(cloud.exchange->rewriting.id_from,
                            "4c1f0000000000000000000000000001");
        ends(0);
        run(box, 5);
        box->n_lasts = 0;
    }
    /* A site that is not configured for it passes over the token. */
    run(box, 5);
    assert_null(cloud.exchange);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    box->serve.guests = guests;
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup_guests, teardown_guests)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shared),
        TEST(test_none),
        TEST(test_as_many_as_may),
        TEST(test_a_relay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
