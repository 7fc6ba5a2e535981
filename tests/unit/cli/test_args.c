#include "cli/args.h"

#include "cli/say.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define ARGV_MAX 80

/* Parses words that are given as one text. */
static int parse(struct cli_args *args, const char *text)
{
    static char copy[4096];
    char *argv[ARGV_MAX] = {(char *) (uintptr_t) "isthmus"}, *rest = copy,
         *word;
    int argc = 1;

    strcpy(copy, text);
    while ((word = strsep(&rest, " ")))
        if (*word)
            argv[argc++] = word;
    argv[argc] = NULL;
    return cli_args_parse(args, argc, argv);
}

static void good(struct cli_args *args, const char *text)
{
    if (parse(args, text) != 0)
        fail_msg("refused: %s", text);
}

static void bad(const char *text)
{
    struct cli_args args;

    if (parse(&args, text) != CLI_USAGE)
        fail_msg("taken: %s", text);
    cli_args_fini(&args);
}

static void test_words_and_options_mixed(void **state)
{
    struct cli_args args;

    (void) state;
    good(&args, "-f json server --limit 5 list -c Name -cID --debug x");
    assert_int_equal(args.n_words, 3);
    assert_string_equal(args.words[0], "server");
    assert_string_equal(args.words[1], "list");
    assert_string_equal(args.words[2], "x");
    assert_string_equal(args.format, "json");
    assert_int_equal(args.limit, 5);
    assert_true(args.debug);
    assert_int_equal(args.columns.n, 2);
    assert_string_equal(args.columns.names[1], "ID");
    cli_args_fini(&args);
}

static void test_dashes_end_options(void **state)
{
    struct cli_args args;

    (void) state;
    good(&args, "server show -- -f --limit");
    assert_int_equal(args.n_words, 4);
    assert_string_equal(args.words[2], "-f");
    assert_string_equal(args.words[3], "--limit");
    cli_args_fini(&args);
}

static void test_lists(void **state)
{
    struct cli_args args;

    (void) state;
    good(&args, "server list --site hkg,lon --site par1 "
                "--sort -created_at,name:desc --sort id:asc --fields id,a:b");
    assert_string_equal(ist_sb_text(&args.sites), "hkg,lon,par1");
    assert_string_equal(ist_sb_text(&args.sort), "-created_at,-name,id");
    assert_int_equal(args.fields.n, 2);
    assert_string_equal(args.fields.names[0], "id");
    assert_string_equal(args.fields.names[1], "a:b");
    cli_args_fini(&args);
}

static void test_values(void **state)
{
    struct cli_args args;

    (void) state;
    good(&args, "server list --deadline 250ms --max-width 0 --partial deny "
                "--quote all --limit=4294967295");
    assert_int_equal(args.deadline_ms, 250);
    assert_string_equal(args.partial, "deny");
    assert_int_equal(args.limit, UINT32_MAX);
    cli_args_fini(&args);
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "server list --bogus",
        "server list --limit",
        "server list --limit 0",
        "server list --limit 4294967296",
        "server list --limit -1",
        "server list --limit 1x",
        "server list --deadline 5",
        "server list --deadline 99ms",
        "server list --deadline 61s",
        "server list --partial maybe",
        "server list -f xml",
        "server list --format=",
        "server list --quote some",
        "server list --site Hkg",
        "server list --site hkg,,lon",
        "server list --site res",
        "server list --sort name;x",
        "server list --sort name:up",
        "server list --sort -",
        "server list --sort ,name",
        "server list --fields a,,b",
        "server list --fields a,a",
        "server list --fields a --fields b",
        "server list --fields a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p",
        "server list --max-width x",
        "server list --token secret",
        "server list --token=secret",
        "server list -z",
        "a b c d e f g h i",
        "server show \xFF",
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(texts); i++)
        bad(texts[i]);
    assert_null(strstr(cli_said(), "secret"));
}

static void test_long_argument(void **state)
{
    char text[CLI_VALUE_MAX + 32] = "server show ";
    struct cli_args args;

    (void) state;
    memset(text + 12, 'x', CLI_VALUE_MAX);
    text[12 + CLI_VALUE_MAX] = '\0';
    good(&args, text);
    cli_args_fini(&args);
    text[12 + CLI_VALUE_MAX] = 'x';
    text[13 + CLI_VALUE_MAX] = '\0';
    bad(text);
}

static void test_too_many_columns(void **state)
{
    char text[1024] = "server list";
    struct cli_args args;

    (void) state;
    for (int i = 0; i < CLI_COLUMNS_MAX; i++)
        strcat(text, " -cA");
    good(&args, text);
    assert_int_equal(args.columns.n, CLI_COLUMNS_MAX);
    cli_args_fini(&args);
    strcat(text, " -cA");
    bad(text);
}

static void test_who_takes_what(void **state)
{
    struct cli_args args;

    (void) state;
    good(&args, "x --limit 5 --debug");
    assert_int_equal(
        cli_args_check(&args, CLI_FOR_ALL | CLI_FOR_LIST, "server list"), 0);
    assert_int_equal(
        cli_args_check(&args, CLI_FOR_ALL | CLI_FOR_SHOW, "server show"),
        CLI_USAGE);
    assert_int_equal(
        cli_args_check(&args, CLI_FOR_ALL | CLI_FOR_SITE_LIST, "site list"),
        CLI_USAGE);
    cli_args_fini(&args);
    good(&args, "x --long --fields id");
    assert_int_equal(
        cli_args_check(&args, CLI_FOR_ALL | CLI_FOR_LIST, "server list"),
        CLI_USAGE);
    cli_args_fini(&args);
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"server", "list", "network", NULL};
    char big[200];

    (void) state;
    assert_string_equal(cli_nearest("servr", words), "server");
    assert_string_equal(cli_nearest("lst", words), "list");
    assert_string_equal(cli_nearest("netwrok", words), "network");
    assert_null(cli_nearest("banana", words));
    assert_null(cli_nearest("x", words));
    memset(big, 's', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_null(cli_nearest(big, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_and_options_mixed),
        cmocka_unit_test(test_dashes_end_options),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_argument),
        cmocka_unit_test(test_too_many_columns),
        cmocka_unit_test(test_who_takes_what),
        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
