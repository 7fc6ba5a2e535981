/* Relayed exchanges at the agent: only on the hub's word and within the
 * policy, both bodies under credit, links rewritten. */
#include "word.h"

static const char *const *sent; /* Headers of the exchange at work. */

static const char *header_of(const struct box *box, const char *name)
{
    const Isthmus__V1__RelayHead *head = box->reply->head;

    for (size_t i = 0; i < head->n_headers; i++) {
        if (strcmp(head->headers[i]->name, name) == 0)
            return head->headers[i]->value;
    }
    return NULL;
}

static bool is_sent(const char *line)
{
    for (sent = cloud.exchange->headers; *sent; sent++) {
        if (strcmp(*sent, line) == 0)
            return true;
    }
    return false;
}

/* Happy ways */

static void test_a_get(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    assert_string_equal(cloud.exchange->method, "GET");
    assert_string_equal(cloud.exchange->target, TARGET);
    assert_string_equal(cloud.exchange->service->name, "compute");
    assert_true(is_sent("X-OpenStack-Request-Id: req-1"));
    answers(200, "Content-Type: text/plain\r\nContent-Length: 5\r\n"
                 "X-Auth-Token: secret\r\nConnection: close\r\n");
    assert_int_equal(gives("hello"), 0);
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_int_equal(box->n_frames, 1);
    assert_int_equal(box->reply->head->status, 200);
    assert_string_equal(header_of(box, "Content-Length"), "5");
    assert_null(header_of(box, "X-Auth-Token"));
    assert_null(header_of(box, "Connection"));
    assert_data(box, "hello");
}

static void test_links_are_rewritten(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    answers(201, "Content-Type: application/json; charset=UTF-8\r\n"
                 "Content-Length: 44\r\n"
                 "Location: http://10.0.0.1:8774/v2.1/servers/1\r\n");
    assert_int_equal(gives("{\"href\": \"http://10.0.0.1:8774/v2.1/x\"}"), 0);
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_data(box, "{\"href\": \"https://hub/r/hkg/compute/v2.1/x\"}");
    assert_string_equal(header_of(box, "Location"),
                        "https://hub/r/hkg/compute/v2.1/servers/1");
    assert_null(header_of(box, "Content-Length"));
}

/* Objects are their users' bytes, whatever they are called. */
static void test_objects_are_not_looked_into(void **state)
{
    static const char object[] = "{\"href\": \"http://10.0.0.1:8774/v2.1/x\"}";
    struct box *box = *state;
    struct word word;

    prepare(box, &word, "GET", NULL);
    word.assertion.service = (char *) "object-store";
    word.assertion.target = (char *) "/v1/AUTH_x/c/o";
    say(box, &word);
    answers(200, "Content-Type: application/json\r\nContent-Length: 40\r\n");
    assert_int_equal(gives(object), 0);
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_data(box, object);
    assert_string_equal(header_of(box, "Content-Length"), "40");
}

static void test_the_services_error_is_an_answer(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    answers(409, "Content-Type: text/html\r\n");
    gives("busy");
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_int_equal(box->reply->head->status, 409);
    assert_data(box, "busy");
}

static void test_headers_of_ours_do_not_come_from_the_hub(void **state)
{
    struct box *box = *state;
    Isthmus__V1__Header headers[3], *at[3];
    static char *const names[] = {(char *) "Accept", (char *) "X-Auth-Token",
                                  (char *) "Host"};
    struct word word;

    prepare(box, &word, "GET", NULL);
    for (size_t i = 0; i < 3; i++) {
        isthmus__v1__header__init(&headers[i]);
        headers[i].name = names[i];
        headers[i].value = (char *) "x";
        at[i] = &headers[i];
    }
    word.relay.headers = at;
    word.relay.n_headers = 3;
    say(box, &word);
    assert_true(is_sent("Accept: x"));
    assert_false(is_sent("X-Auth-Token: x"));
    assert_false(is_sent("Host: x"));
    ends(0);
    run(box, 5);
}

/* Credit */

static void test_no_more_than_granted(void **state)
{
    struct box *box = *state;
    struct word word;
    Isthmus__V1__Credit credit = ISTHMUS__V1__CREDIT__INIT;
    struct ist_letter letter;

    prepare(box, &word, "GET", NULL);
    word.relay.window = 4;
    say(box, &word);
    answers(200, "Content-Type: text/plain\r\n");
    assert_int_equal(gives("123456"), 0);
    run(box, 5);
    assert_data(box, "1234");
    assert_int_equal(gives("7"), -EAGAIN);
    credit.bytes = 1;
    send_body(box, IST_KIND_CREDIT, &credit.base, &letter);
    assert_data(box, "5");
    assert_int_equal(cloud.n_resumed, 0);
    credit.bytes = 100;
    send_body(box, IST_KIND_CREDIT, &credit.base, &letter);
    assert_data(box, "6");
    assert_int_equal(cloud.n_resumed, 1);
    assert_int_equal(gives("7"), 0);
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_data(box, "7");
}

static void test_a_body_that_follows(void **state)
{
    struct box *box = *state;
    char buf[16];

    ask_upload(box);
    assert_int_equal(box->n_frames, 1);
    assert_true(box->reply->granted > 0);
    assert_true(cloud.exchange->body_length == UINT64_MAX);
    assert_int_equal(cloud.exchange->on_body(cloud.exchange, buf, 16), -EAGAIN);
    send_data(box, 0, "abc", false);
    assert_int_equal(cloud.n_resumed, 1);
    send_data(box, 0, "abc", false); /* Delivered twice. */
    send_data(box, 1, "de", true);
    assert_int_equal(cloud.exchange->on_body(cloud.exchange, buf, 2), 2);
    assert_memory_equal(buf, "ab", 2);
    assert_int_equal(cloud.exchange->on_body(cloud.exchange, buf, 16), 3);
    assert_memory_equal(buf, "cde", 3);
    assert_int_equal(cloud.exchange->on_body(cloud.exchange, buf, 16), 0);
    answers(204, "");
    ends(0);
    run(box, 5);
    assert_int_equal(box->n_lasts, 1);
    assert_int_equal(box->reply->head->status, 204);
}

static void test_a_hole_in_the_body(void **state)
{
    struct box *box = *state;

    ask_upload(box);
    send_data(box, 1, "de", true);
    run(box, 5);
    assert_null(cloud.exchange);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_non_null(box->reply->failure);
}

/* Ends */

static void test_a_failure_before_the_head(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    ends(OS_E_UNREACHABLE);
    run(box, 5);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE);
    assert_null(box->reply->head);
}

static void test_a_failure_behind_the_head(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    answers(200, "Content-Type: text/plain\r\n");
    gives("half of i");
    run(box, 5);
    assert_int_equal(box->reply->head->status, 200);
    ends(OS_E_UNREACHABLE);
    run(box, 5);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE);
}

static void test_a_cancel_stops_it(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    cancel(box);
    run(box, 5);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_int_equal(box->n_frames, 0);
    assert_int_equal(box->serve.n_open, 0);
}

static void test_silence_ends_it(void **state)
{
    struct box *box = *state;

    ask_relay(box, "GET");
    run(box, 4000);
    assert_int_equal(cloud.n_cancelled, 0);
    answers(200, "Content-Type: text/plain\r\n");
    run(box, 4000); /* Something has moved: it goes on. */
    assert_int_equal(cloud.n_cancelled, 0);
    run(box, 2000);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__TIMEOUT);
}

/* Refused, and OpenStack never hears of it. */

static void assert_refused(struct box *box, Isthmus__V1__Failure__Code code)
{
    run(box, 5);
    assert_failure(box, code);
    assert_int_equal(cloud.n_started, 0);
    box->n_lasts = 0;
}

static void test_the_policy(void **state)
{
    struct box *box = *state;
    struct word word;

    ask_relay(box, "DELETE");
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    prepare(box, &word, "GET", NULL);
    word.assertion.target = (char *) "/v2.1/os-keypairs";
    say(box, &word);
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
}

static void test_doubtful_assertions(void **state)
{
    struct box *box = *state;
    uint64_t now = ist_loop_wall(&box->loop);
    struct ist_self stranger;
    uint8_t other_uid[16] = {1};
    struct word word;

    identity_make(&stranger, IST_ROLE_HUB, 5);
    for (int i = 0; i < 9; i++) {
        prepare(box, &word, "GET", "body");
        if (i == 0)
            word.signer = &stranger;
        else if (i == 1)
            word.assertion.audience.data = other_uid;
        else if (i == 2)
            word.assertion.audience.len = 0;
        else if (i == 3)
            word.assertion.expires_ms = word.assertion.issued_ms = now - 40000;
        else if (i == 4)
            word.assertion.issued_ms = now + 40000;
        else if (i == 5)
            word.assertion.expires_ms = now + 70000;
        else if (i == 6)
            word.relay.body.data = (uint8_t *) (uintptr_t) "bodz";
        else if (i == 7)
            word.assertion.body_hash.len = 0;
        else
            word.relay.body_follows = true;
        say(box, &word);
        assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    }
}

static void test_one_word_more(void **state)
{
    struct box *box = *state;
    struct word word;
    uint8_t bytes[300];
    size_t size;

    /* Another target under the same signature. */
    prepare(box, &word, "GET", NULL);
    say(box, &word);
    size = word.relay.assertion.len;
    assert_non_null(cloud.exchange);
    ends(0);
    run(box, 5);
    memset(&cloud, 0, sizeof(cloud));
    box->n_lasts = 0;
    assert_true(size < sizeof(bytes));
    prepare(box, &word, "GET", NULL);
    word.assertion.target = (char *) "/v2.1/servers?limit=3";
    size = isthmus__v1__assertion__pack(&word.assertion, bytes);
    word.call.what_case = ISTHMUS__V1__CALL__WHAT_RELAY;
    word.call.relay = &word.relay;
    word.relay.assertion = (ProtobufCBinaryData){size, bytes};
    word.relay.signature =
        (ProtobufCBinaryData){crypto_sign_BYTES, word.signature};
    ask(box, &word.call);
    ist_arena_fini(&word.arena);
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
}

static void test_bad_calls(void **state)
{
    static const struct {
        const char *service, *target;
        Isthmus__V1__Failure__Code code;
    } cases[] = {
        {"identity", "/v3/users", ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED},
        {"nosuch", "/", ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED},
        {"compute", "/v2.1/../x", ISTHMUS__V1__FAILURE__CODE__BAD_CALL},
        {"compute", "//evil/x", ISTHMUS__V1__FAILURE__CODE__BAD_CALL},
        {"compute", "@evil/x", ISTHMUS__V1__FAILURE__CODE__BAD_CALL},
        {"compute", "/v2.1/%6fs-keypairs",
         ISTHMUS__V1__FAILURE__CODE__BAD_CALL},
    };
    struct box *box = *state;
    struct word word;

    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        prepare(box, &word, "GET", NULL);
        word.assertion.service = (char *) (uintptr_t) cases[i].service;
        word.assertion.target = (char *) (uintptr_t) cases[i].target;
        say(box, &word);
        assert_refused(box, cases[i].code);
    }
}

/* Projects */

#define HUB_PROJECT "fedcba9876543210fedcba9876543210"

static struct projects *map_projects(struct box *box)
{
    static const char rows[] =
        "projects:\n  - {hub: hkg/shop, cloud: shop, roles: [member]}\n";
    static const char clouds[] =
        "clouds:\n  shop:\n    auth: {auth_url: 'http://10.0.0.1:5000/v3',\n"
        "           username: u, password: p, project_name: shop}\n";
    char path[] = "/tmp/isthmus-relay-XXXXXX";
    char clouds_path[] = "/tmp/isthmus-relay-XXXXXX";
    int fd = mkstemp(path), clouds_fd = mkstemp(clouds_path);
    struct projects *projects;
    struct ist_err err;

    assert_int_equal(write(fd, rows, strlen(rows)), strlen(rows));
    assert_int_equal(write(clouds_fd, clouds, strlen(clouds)), strlen(clouds));
    close(fd);
    close(clouds_fd);
    projects = projects_open(
        &box->loop, NULL, NULL,
        &(struct projects_conf){.path = path, .clouds = clouds_path}, &err);
    unlink(path);
    unlink(clouds_path);
    assert_non_null(projects);
    box->serve.projects = projects;
    return projects;
}

static void ask_as(struct box *box, const char *name, char *role)
{
    struct word word;

    prepare(box, &word, "GET", NULL);
    word.assertion.user = (char *) "hkg/alice";
    word.assertion.project = (char *) HUB_PROJECT;
    word.assertion.project_name = (char *) (uintptr_t) name;
    word.assertion.roles = &role;
    word.assertion.n_roles = 1;
    say(box, &word);
}

static void test_a_mapped_project(void **state)
{
    struct box *box = *state;
    struct projects *projects = map_projects(box);

    ask_as(box, "hkg/shop", (char *) "member");
    assert_ptr_equal(cloud.exchange->cloud, &tenant_cloud);
    assert_string_equal(cloud.exchange->rewriting.id_from, HUB_PROJECT);
    answers(200, "Content-Type: application/json\r\n");
    gives("{\"tenant_id\": \"" OWN_PROJECT "\", \"name\": \"" OWN_PROJECT
          "\"}");
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_data(box, "{\"tenant_id\": \"" HUB_PROJECT "\", \"name\": "
                     "\"" OWN_PROJECT "\"}");
    projects_close(projects, NULL, NULL);
}

static void test_projects_that_are_not_mapped(void **state)
{
    struct box *box = *state;
    struct projects *projects;

    ask_as(box, "hkg/shop", (char *) "member");
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    projects = map_projects(box);
    ask_as(box, "lon/shop", (char *) "member");
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    assert_non_null(strstr(box->reply->failure->text, "projects.yaml"));
    ask_as(box, "hkg/shop", (char *) "reader");
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    projects_close(projects, NULL, NULL);
}

/* Lists in a client's name */

static void prepare_list(struct box *box, struct word *word, char **role)
{
    prepare(box, word, "GET", NULL);
    word->assertion.user = (char *) "hkg/alice";
    word->assertion.project = (char *) HUB_PROJECT;
    word->assertion.project_name = (char *) "hkg/shop";
    word->assertion.roles = role;
    word->assertion.n_roles = 1;
    word->assertion.target = (char *) "/v2.1/servers/detail?status=ACTIVE";
}

static void say_list(struct box *box, struct word *word, const char *kind)
{
    Isthmus__V1__List list = ISTHMUS__V1__LIST__INIT;

    sign(word);
    list.kind = (char *) (uintptr_t) kind;
    list.limit = 10;
    list.window = 10;
    list.as = &word->relay;
    list.version = (char *) "2.37";
    word->call.what_case = ISTHMUS__V1__CALL__WHAT_LIST;
    word->call.list = &list;
    ask(box, &word->call);
    ist_arena_fini(&word->arena);
}

/* Asked with the project's own credential, filters, microversion and request id
 * of the client; what comes reads as the hub's clients know it. */
static void test_a_clients_list(void **state)
{
    static char body[] =
        "{\"tenant_id\": \"" OWN_PROJECT "\", \"availability_zone\": \"nova\"}";
    static const char wanted[] =
        "{\"tenant_id\": \"" HUB_PROJECT "\", \"availability_zone\": \"hkg\"}";
    char *role = (char *) "member", *member = (char *) "availability_zone";
    Isthmus__V1__Swap swap = ISTHMUS__V1__SWAP__INIT, *swaps = &swap;
    Isthmus__V1__Pair pair = ISTHMUS__V1__PAIR__INIT, *pairs = &pair;
    struct box *box = *state;
    struct projects *projects = map_projects(box);
    struct os_list *list;
    struct word word;

    swap.members = &member;
    swap.n_members = 1;
    swap.pairs = &pairs;
    swap.n_pairs = 1;
    pair.hub = (char *) "hkg";
    pair.site = (char *) "nova";
    prepare_list(box, &word, &role);
    word.relay.swaps = &swaps;
    word.relay.n_swaps = 1;
    say_list(box, &word, "server");
    list = IST_TAKE(cloud.list);
    assert_non_null(list);
    assert_string_equal(list->query, "status=ACTIVE");
    assert_string_equal(list->version, "2.37");
    assert_string_equal(list->request_id, "req-1");
    cloud.records[0] =
        (struct os_record){.id = "id-1", .body = {body, strlen(body)}};
    list->records = cloud.records;
    list->n_records = 1;
    ist_op_finish(&list->op, 0);
    run(box, 5);
    assert_complete(box, 1);
    assert_int_equal(box->reply->records[0]->body.len, strlen(wanted));
    assert_memory_equal(box->reply->records[0]->body.data, wanted,
                        strlen(wanted));
    projects_close(projects, NULL, NULL);
}

static void make_unsigned(struct word *word)
{
    static struct ist_self stranger;

    crypto_sign_keypair(stranger.signing_public, stranger.signing_secret);
    word->signer = &stranger;
}

static void make_another_site(struct word *word)
{
    static uint8_t other[16];

    word->assertion.audience.data = other;
}

static void make_old(struct word *word)
{
    word->assertion.issued_ms -= 200000;
    word->assertion.expires_ms -= 200000;
}

static void make_another_kind(struct word *word)
{
    word->assertion.target = (char *) "/v2.1/flavors/detail";
}

static void make_a_change(struct word *word)
{
    word->assertion.method = (char *) "POST";
}

static void make_another_project(struct word *word)
{
    word->assertion.project_name = (char *) "hkg/bank";
}

static void test_doubtful_lists(void **state)
{
    static void (*const makers[])(struct word *) = {
        make_unsigned,     make_another_site, make_old,
        make_another_kind, make_a_change,     make_another_project};
    char *role = (char *) "member";
    struct box *box = *state;
    struct projects *projects = map_projects(box);
    struct word word;

    for (size_t i = 0; i < IST_COUNT(makers); i++) {
        prepare_list(box, &word, &role);
        makers[i](&word);
        say_list(box, &word, "server");
        assert_null(cloud.list);
        assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    }
    projects_close(projects, NULL, NULL);
}

/* Clients ask what versions there are before they log in. */
static void test_nobody(void **state)
{
    struct box *box = *state;
    struct word word;

    prepare(box, &word, "GET", NULL);
    word.assertion.user = (char *) "";
    say(box, &word);
    assert_refused(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    prepare(box, &word, "GET", NULL);
    word.assertion.user = (char *) "";
    word.assertion.target = (char *) "/v2.1/";
    say(box, &word);
    assert_non_null(cloud.exchange);
    ends(0);
    run(box, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_get),
        TEST(test_links_are_rewritten),
        TEST(test_objects_are_not_looked_into),
        TEST(test_the_services_error_is_an_answer),
        TEST(test_headers_of_ours_do_not_come_from_the_hub),
        TEST(test_no_more_than_granted),
        TEST(test_a_body_that_follows),
        TEST(test_a_hole_in_the_body),
        TEST(test_a_failure_before_the_head),
        TEST(test_a_failure_behind_the_head),
        TEST(test_a_cancel_stops_it),
        TEST(test_silence_ends_it),
        TEST(test_the_policy),
        TEST(test_doubtful_assertions),
        TEST(test_one_word_more),
        TEST(test_bad_calls),
        TEST(test_a_mapped_project),
        TEST(test_projects_that_are_not_mapped),
        TEST(test_a_clients_list),
        TEST(test_doubtful_lists),
        TEST(test_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
