#include "policy/policy.h"

#include "../conf/scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct policy *load(const char *text, struct ist_conf_report *report,
                           struct ist_err *err)
{
    struct policy *policy;
    struct scratch s;

    scratch_init(&s);
    scratch_text(&s, "policy.yaml", text);
    ist_conf_report_init(report);
    policy = policy_load_report(s.path, report, err);
    report->path = "";
    scratch_fini(&s);
    return policy;
}

static void judged(const char *text, enum policy_verb verb, const char *kind,
                   const char *project, bool allow, unsigned rule)
{
    struct ist_conf_report report;
    struct policy_verdict verdict;
    struct policy *policy;
    struct ist_err err;

    policy = load(text, &report, &err);
    if (!policy)
        fail_msg("%s", err.text);
    verdict = policy_judge(policy, verb, kind, project);
    assert_int_equal(verdict.allow, allow);
    assert_int_equal(verdict.rule, rule);
    assert_non_null(verdict.reason);
    policy_free(policy);
    ist_conf_report_fini(&report);
}

static void test_first_match(void **state)
{
    static const char text[] =
        "mode: active\n"
        "rules:\n"
        "  - {deny: read, what: [keypair, project]}\n"
        "  - {allow: read, what: '*'}\n"
        "  - {allow: [create, delete], what: server, project: p1}\n"
        "  - {deny: delete, what: volume, project: p2}\n"
        "  - {allow: '*', what: volume}\n";

    (void) state;
    judged(text, POLICY_READ, "keypair", NULL, false, 1);
    judged(text, POLICY_READ, "project", "p1", false, 1);
    judged(text, POLICY_READ, "server", NULL, true, 2);
    judged(text, POLICY_READ, "unknown", NULL, true, 2);
    judged(text, POLICY_CREATE, "server", "p1", true, 3);
    judged(text, POLICY_CREATE, "server", "p2", false, 0);
    judged(text, POLICY_CREATE, "server", NULL, false, 0);
    judged(text, POLICY_UPDATE, "server", "p1", false, 0);
    judged(text, POLICY_DELETE, "volume", "p2", false, 4);
    judged(text, POLICY_DELETE, "volume", NULL, false, 4);
    judged(text, POLICY_DELETE, "volume", "p3", true, 5);
    judged(text, POLICY_ACTION, "volume", NULL, true, 5);
    judged(text, POLICY_ACTION, "server", NULL, false, 0);
}

/* Those that the site has mapped, whichever; but not calls of no project. */
static void test_mapped(void **state)
{
    static const char text[] =
        "mode: active\n"
        "rules:\n"
        "  - {deny: delete, what: volume, project: p2}\n"
        "  - {allow: '*', what: volume, project: mapped}\n"
        "  - {allow: read, what: volume}\n";

    (void) state;
    judged(text, POLICY_DELETE, "volume", "p2", false, 1);
    judged(text, POLICY_DELETE, "volume", "p1", true, 2);
    judged(text, POLICY_DELETE, "volume", "mapped", false, 1);
    judged(text, POLICY_CREATE, "volume", "mapped", true, 2);
    judged(text, POLICY_CREATE, "volume", NULL, false, 0);
    judged(text, POLICY_READ, "volume", NULL, true, 3);
}

static void test_modes(void **state)
{
    (void) state;
    judged("mode: read-only\nrules: [{allow: '*', what: '*'}]\n", POLICY_READ,
           "server", NULL, true, 1);
    judged("mode: read-only\nrules: [{allow: '*', what: '*'}]\n", POLICY_CREATE,
           "server", NULL, false, 0);
    judged("mode: frozen\nrules: [{allow: '*', what: '*'}]\n", POLICY_READ,
           "server", NULL, false, 0);
    judged("mode: active\n", POLICY_READ, "server", NULL, false, 0);
    judged("mode: active\nrules: []\n", POLICY_READ, "server", NULL, false, 0);
}

static void refused(const char *text, const char *complaint)
{
    struct ist_conf_report report;
    struct policy *policy;
    struct ist_err err;

    policy = load(text, &report, &err);
    assert_null(policy);
    assert_int_equal(err.code, -EINVAL);
    if (!strstr(ist_sb_text(&report.text), complaint))
        fail_msg("wanted: %s\ngot: %s", complaint, ist_sb_text(&report.text));
    ist_conf_report_fini(&report);
}

static void test_refused(void **state)
{
    (void) state;
    refused("", "must be a map");
    refused("rules: []\n", "mode: is missing");
    refused("mode: activ\n", ":1: activ is not a mode; is it active?");
    refused("mode: \n", ":1:  is not a mode");
    refused("mode: active\nrule: []\n",
            ":2: rule is not a member of a policy; is it rules?");
    refused("mode: active\nrules: 1\n", ":2: rules: must be a list");
    refused("mode: active\nrules: [1]\n", ":2: a rule must be a map");
    refused("mode: active\nrules:\n- {what: server}\n",
            ":3: a rule must allow or deny");
    refused("mode: active\nrules:\n- {allow: read}\n",
            ":3: a rule must say what");
    refused("mode: active\nrules:\n- {allow: read, deny: create, what: '*'}\n",
            ":3: allow or deny, not both");
    refused("mode: active\nrules:\n- {allow: raed, what: '*'}\n",
            ":3: raed is not a verb; is it read?");
    refused("mode: active\nrules:\n- {allow: read, what: servers}\n",
            ":3: servers is not a kind; is it server?");
    refused("mode: active\nrules:\n- {allow: read, what: []}\n",
            ":3: what: must be a word or a list");
    refused("mode: active\nrules:\n- {allow: read, what: [[server]]}\n",
            ":3: must be a word");
    refused("mode: active\nrules:\n- {allow: read, what: '*', project: ../x}",
            ":3: project: must be a project's id");
    /* A restriction that is not understood must not be passed over. */
    refused("mode: active\nrules:\n- {allow: create, what: server, "
            "max_per_project: 3}\n",
            ":3: max_per_project is not a member of a rule");
    refused("mode: active\nrules: []\nlimits: {commands: 1}\n",
            ":3: limits is not a member of a policy");
    refused("mode: active\nmode: frozen\n", ":2: mode: given twice");
}

static void warned(const char *text, const char *warning)
{
    struct ist_conf_report report;
    struct policy *policy;
    struct ist_err err;

    policy = load(text, &report, &err);
    assert_non_null(policy);
    if (warning)
        assert_non_null(strstr(ist_sb_text(&report.text), warning));
    else
        assert_int_equal(report.n_warnings, 0);
    policy_free(policy);
    ist_conf_report_fini(&report);
}

static void test_warnings(void **state)
{
    (void) state;
    warned("mode: active\nrules:\n- {allow: read, what: '*'}\n"
           "- {deny: read, what: keypair}\n",
           ":4: warning: rule 2 can never decide: rule 1 (line 3) always does");
    warned("mode: active\nrules:\n- {allow: read, what: keypair}\n"
           "- {deny: read, what: '*'}\n",
           NULL);
    warned("mode: active\nrules:\n- {allow: read, what: '*', project: a}\n"
           "- {deny: read, what: '*'}\n",
           NULL);
    warned("mode: active\nrules:\n- {allow: [read, create], what: '*'}\n"
           "- {deny: [read, delete], what: '*'}\n",
           NULL);
}

static void test_digest(void **state)
{
    struct ist_conf_report report;
    struct policy *a, *b;
    struct ist_err err;

    (void) state;
    a = load("mode: active\n", &report, &err);
    ist_conf_report_fini(&report);
    b = load("mode: active\n#\n", &report, &err);
    ist_conf_report_fini(&report);
    /* printf 'mode: active\n' | sha256sum */
    assert_memory_equal(
        a->digest,
        "\x80\xe6\x10\x36\x88\xbc\x80\x16\x6e\x92\x90\x33\xea\xaf\x4a\x05\x84"
        "\x04\x8a\x76\xde\x0b\x79\x5e\x5e\x39\x74\x4a\xc9\xb3\xae\xb4",
        32);
    assert_memory_not_equal(a->digest, b->digest, sizeof(a->digest));
    policy_free(a);
    policy_free(b);
    assert_null(policy_load("/nonexistent/policy.yaml", &err));
    assert_int_equal(err.code, -ENOENT);
}

static void test_words(void **state)
{
    enum policy_verb verb;

    (void) state;
    for (unsigned i = 0; i < POLICY_VERBS; i++) {
        assert_true(policy_verb_parse(policy_verb_name(i), &verb));
        assert_int_equal(verb, i);
    }
    assert_false(policy_verb_parse("*", &verb));
    assert_string_equal(policy_mode_name(POLICY_READ_ONLY), "read-only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_match), cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_modes),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_warnings),    cmocka_unit_test(test_digest),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
