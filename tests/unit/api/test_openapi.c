/* openapi.json says what the code does: the same routes, the same parameters,
 * and every status that an error can have. */
#include "api/api.h"
#include "api/events_query.h"
#include "api/problem.h"
#include "api/query.h"

#include <ctype.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

extern const char api_openapi_start[], api_openapi_end[];

static json_t *document;

static int setup(void **state)
{
    json_error_t error;

    (void) state;
    document =
        json_loadb(api_openapi_start,
                   (size_t) (api_openapi_end - api_openapi_start), 0, &error);
    return document ? 0 : -1;
}

static int teardown(void **state)
{
    (void) state;
    json_decref(document);
    return 0;
}

static json_t *operation_of(const char *pattern, const char *method)
{
    json_t *path = json_object_get(json_object_get(document, "paths"), pattern);
    char name[16];
    size_t n = 0;

    for (; method[n] && n + 1 < sizeof(name); n++)
        name[n] = (char) tolower((unsigned char) method[n]);
    name[n] = '\0';
    return json_object_get(path, name);
}

static json_t *operation(const char *pattern)
{
    return operation_of(pattern, "GET");
}

static void test_it_is_3_1(void **state)
{
    (void) state;
    assert_string_equal(json_string_value(json_object_get(document, "openapi")),
                        "3.1.0");
}

static void test_every_route_is_described(void **state)
{
    (void) state;
    for (size_t i = 0; i < api_n_routes; i++) {
        if (!operation_of(api_routes[i].pattern, api_routes[i].method))
            fail_msg("not in openapi.json: %s %s", api_routes[i].method,
                     api_routes[i].pattern);
    }
}

static void test_every_description_is_a_route(void **state)
{
    json_t *paths = json_object_get(document, "paths"), *item;
    const char *pattern;

    (void) state;
    json_object_foreach(paths, pattern, item)
    {
        bool found = false;

        for (size_t i = 0; i < api_n_routes; i++)
            found = found || strcmp(api_routes[i].pattern, pattern) == 0;
        if (!found)
            fail_msg("described, but no route: %s", pattern);
    }
}

/* Follows one "$ref": "#/components/parameters/limit". */
static json_t *resolve(json_t *item)
{
    const char *ref = json_string_value(json_object_get(item, "$ref"));
    json_t *at = document;
    char part[64];

    if (!ref)
        return item;
    for (ref += 2; *ref; ref += strcspn(ref, "/"), ref += *ref == '/') {
        snprintf(part, sizeof(part), "%.*s", (int) strcspn(ref, "/"), ref);
        at = json_object_get(at, part);
    }
    return at;
}

static bool has_param(json_t *op, const char *name)
{
    json_t *params = json_object_get(op, "parameters"), *item;
    size_t i;

    json_array_foreach(params, i, item)
    {
        json_t *param = resolve(item);

        if (strcmp(json_string_value(json_object_get(param, "in")), "query") ==
                0 &&
            strcmp(json_string_value(json_object_get(param, "name")), name) ==
                0)
            return true;
    }
    return false;
}

static size_t count_query_params(json_t *op)
{
    json_t *params = json_object_get(op, "parameters"), *item;
    size_t i, n = 0;

    json_array_foreach(params, i, item) n +=
        strcmp(json_string_value(json_object_get(resolve(item), "in")),
               "query") == 0;
    return n;
}

static void check_params(const char *pattern, const char *const *names)
{
    json_t *op = operation(pattern);
    size_t n = 0;

    for (; names[n]; n++) {
        if (!has_param(op, names[n]))
            fail_msg("%s: parameter %s is not described", pattern, names[n]);
    }
    assert_int_equal(count_query_params(op), n);
}

static void test_every_parameter_is_described(void **state)
{
    (void) state;
    check_params("/api/v1/{kind}", api_query_list_names);
    check_params("/api/v1/{kind}/{id}", api_query_show_names);
    check_params("/api/v1/alarms", api_alarms_list_names);
    check_params("/api/v1/events", api_events_list_names);
    check_params("/api/v1/events/stream", api_events_stream_names);
}

static bool has_status(json_t *op, int status)
{
    char word[16];

    snprintf(word, sizeof(word), "%d", status);
    return json_object_get(json_object_get(op, "responses"), word) != NULL;
}

static void test_every_status_is_described(void **state)
{
    (void) state;
    for (const int *status = api_problem_statuses; *status; status++) {
        if (!has_status(operation("/api/v1/{kind}"), *status) &&
            !has_status(operation("/api/v1/{kind}/{id}"), *status))
            fail_msg("status %d is described for no resource", *status);
    }
    assert_true(has_status(operation("/api/v1/{kind}/{id}"), 300));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_3_1),
        cmocka_unit_test(test_every_route_is_described),
        cmocka_unit_test(test_every_description_is_a_route),
        cmocka_unit_test(test_every_parameter_is_described),
        cmocka_unit_test(test_every_status_is_described),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
