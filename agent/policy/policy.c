#include "policy/policy.h"

#include "conf/file.h"
#include "conf/yaml.h"
#include "model/kind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define KINDS_MAX   64 /* In one rule. */
#define PROJECT_MAX 64
#define ALL_VERBS   ((1U << POLICY_VERBS) - 1)

struct policy_rule {
    bool allow;
    unsigned verbs; /* Bit mask. */
    bool any_kind;
    const char *kinds[KINDS_MAX]; /* Borrowed from the tables of kinds. */
    size_t n_kinds;
    char project[PROJECT_MAX + 1]; /* "": any. */
    char reason[40];
};

static const char *const verb_names[POLICY_VERBS] = {"read", "create", "update",
                                                     "delete", "action"};

static const char *const mode_names[] = {"active", "read-only", "frozen"};

/* Besides the kinds of resources. */
static const char *const other_kinds[] = {"service", "unknown"};

const char *policy_verb_name(enum policy_verb verb)
{
    return verb_names[verb];
}

const char *policy_mode_name(enum policy_mode mode)
{
    return mode_names[mode];
}

bool policy_verb_parse(const char *word, enum policy_verb *ret)
{
    for (unsigned i = 0; i < POLICY_VERBS; i++) {
        if (strcmp(verb_names[i], word) == 0) {
            *ret = (enum policy_verb) i;
            return true;
        }
    }
    return false;
}

/* --- Judging --- */

static bool has_kind(const struct policy_rule *rule, const char *kind)
{
    if (rule->any_kind)
        return true;
    for (size_t i = 0; i < rule->n_kinds; i++) {
        if (strcmp(rule->kinds[i], kind) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct policy_rule *rule, enum policy_verb verb,
                    const char *kind, const char *project)
{
    if (!(rule->verbs >> verb & 1) || !has_kind(rule, kind))
        return false;
    if (rule->project[0] == '\0')
        return true;
    if (!project)
        return !rule->allow;
    if (strcmp(rule->project, "mapped") == 0)
        return true;
    /* Of one whose id is not known yet it may be this one. */
    if (strcmp(project, "mapped") == 0)
        return !rule->allow;
    return strcmp(rule->project, project) == 0;
}

struct policy_verdict policy_judge(const struct policy *policy,
                                   enum policy_verb verb, const char *kind,
                                   const char *project)
{
    if (policy->mode == POLICY_FROZEN)
        return (struct policy_verdict){false, 0, "the site is frozen"};
    if (policy->mode == POLICY_READ_ONLY && verb != POLICY_READ)
        return (struct policy_verdict){false, 0, "the site is read-only"};
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];

        if (matches(rule, verb, kind, project))
            return (struct policy_verdict){rule->allow, (unsigned) i + 1,
                                           rule->reason};
    }
    return (struct policy_verdict){false, 0, "no rule allows it"};
}

/* --- Reading --- */

/* A word that is not known, and the known one it may stand for. */
static void complain_word(struct ist_conf_report *report, unsigned line,
                          const char *what, const char *word,
                          const struct ist_conf_near *near)
{
    char quote[IST_CONF_QUOTE_SIZE];

    ist_conf_complain(report, line, "%s is not a %s%s%s%s",
                      ist_conf_quote(word, quote), what,
                      near->best ? "; is it " : "",
                      near->best ? near->best : "", near->best ? "?" : "");
}

static void add_verb(struct policy_rule *rule, struct ist_conf_report *report,
                     const struct ist_yaml_node *node)
{
    struct ist_conf_near near;
    enum policy_verb verb;

    if (strcmp(node->text, "*") == 0) {
        rule->verbs |= ALL_VERBS;
        return;
    }
    if (policy_verb_parse(node->text, &verb)) {
        rule->verbs |= 1U << verb;
        return;
    }
    ist_conf_near_init(&near, node->text);
    for (size_t i = 0; i < POLICY_VERBS; i++)
        ist_conf_near_try(&near, verb_names[i]);
    complain_word(report, node->line, "verb", node->text, &near);
}

/* The table's own spelling of a kind, or NULL. */
static const char *find_kind(const char *word, struct ist_conf_near *near)
{
    size_t n;
    const struct ist_kind *kinds = ist_kinds(&n);

    ist_conf_near_init(near, word);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(kinds[i].name, word) == 0)
            return kinds[i].name;
        ist_conf_near_try(near, kinds[i].name);
    }
    for (size_t i = 0; i < IST_COUNT(other_kinds); i++) {
        if (strcmp(other_kinds[i], word) == 0)
            return other_kinds[i];
        ist_conf_near_try(near, other_kinds[i]);
    }
    return NULL;
}

static void add_kind(struct policy_rule *rule, struct ist_conf_report *report,
                     const struct ist_yaml_node *node)
{
    struct ist_conf_near near;
    const char *kind;

    if (strcmp(node->text, "*") == 0) {
        rule->any_kind = true;
        return;
    }
    kind = find_kind(node->text, &near);
    if (!kind)
        complain_word(report, node->line, "kind", node->text, &near);
    else if (rule->n_kinds == KINDS_MAX)
        ist_conf_complain(report, node->line, "more than %d kinds", KINDS_MAX);
    else
        rule->kinds[rule->n_kinds++] = kind;
}

/* A word or a list of words. */
static void each_word(struct policy_rule *rule, struct ist_conf_report *report,
                      const struct ist_yaml_link *l,
                      void (*add)(struct policy_rule *,
                                  struct ist_conf_report *,
                                  const struct ist_yaml_node *))
{
    if (l->node->type == IST_YAML_SCALAR && !ist_yaml_is_empty(l->node)) {
        add(rule, report, l->node);
        return;
    }
    if (l->node->type != IST_YAML_LIST || !l->node->first) {
        ist_conf_complain(report, l->line, "%s: must be a word or a list",
                          l->key);
        return;
    }
    for (l = l->node->first; l; l = l->next) {
        if (l->node->type == IST_YAML_SCALAR)
            add(rule, report, l->node);
        else
            ist_conf_complain(report, l->line, "must be a word");
    }
}

static void set_project(struct policy_rule *rule,
                        struct ist_conf_report *report,
                        const struct ist_yaml_link *l)
{
    const char *text = l->node->type == IST_YAML_SCALAR ? l->node->text : "";
    size_t len = strlen(text);

    if (len == 0 || len > PROJECT_MAX ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789-_") != len)
        ist_conf_complain(report, l->line, "project: must be a project's id");
    else
        memcpy(rule->project, text, len + 1);
}

static void rule_member(struct policy_rule *rule,
                        struct ist_conf_report *report,
                        const struct ist_yaml_link *l)
{
    static const char *const words[] = {"allow", "deny", "what", "project"};
    struct ist_conf_near near;

    if (strcmp(l->key, "allow") == 0 || strcmp(l->key, "deny") == 0) {
        if (rule->verbs)
            ist_conf_complain(report, l->line, "allow or deny, not both");
        rule->allow = l->key[0] == 'a';
        each_word(rule, report, l, add_verb);
    } else if (strcmp(l->key, "what") == 0) {
        each_word(rule, report, l, add_kind);
    } else if (strcmp(l->key, "project") == 0) {
        set_project(rule, report, l);
    } else {
        ist_conf_near_init(&near, l->key);
        for (size_t i = 0; i < IST_COUNT(words); i++)
            ist_conf_near_try(&near, words[i]);
        complain_word(report, l->line, "member of a rule", l->key, &near);
    }
}

static void rule_read(struct policy_rule *rule, unsigned number,
                      struct ist_conf_report *report,
                      const struct ist_yaml_node *node)
{
    unsigned before = report->n_errors;

    snprintf(rule->reason, sizeof(rule->reason), "rule %u (line %u)", number,
             node->line);
    if (node->type != IST_YAML_MAP) {
        ist_conf_complain(report, node->line, "a rule must be a map");
        return;
    }
    for (const struct ist_yaml_link *l = node->first; l; l = l->next)
        rule_member(rule, report, l);
    if (report->n_errors > before)
        return;
    if (!rule->verbs)
        ist_conf_complain(report, node->line, "a rule must allow or deny");
    if (!rule->any_kind && rule->n_kinds == 0)
        ist_conf_complain(report, node->line, "a rule must say what");
}

/* Does 'early' decide everything that 'late' would? */
static bool covers(const struct policy_rule *early,
                   const struct policy_rule *late)
{
    if ((early->verbs & late->verbs) != late->verbs)
        return false;
    if (early->project[0] && strcmp(early->project, late->project) != 0)
        return false;
    /* A call that names no project is denied by the one, and passed over by
     * the other. */
    if (early->project[0] && early->allow != late->allow)
        return false;
    if (early->any_kind)
        return true;
    if (late->any_kind)
        return false;
    for (size_t i = 0; i < late->n_kinds; i++) {
        if (!has_kind(early, late->kinds[i]))
            return false;
    }
    return true;
}

static void warn_unreachable(const struct policy *policy, unsigned number,
                             struct ist_conf_report *report, unsigned line)
{
    for (unsigned i = 0; i + 1 < number; i++) {
        if (covers(&policy->rules[i], &policy->rules[number - 1])) {
            ist_conf_warn(report, line,
                          "rule %u can never decide: %s always does", number,
                          policy->rules[i].reason);
            return;
        }
    }
}

static void rules_read(struct policy *policy, struct ist_conf_report *report,
                       const struct ist_yaml_link *rules)
{
    const struct ist_yaml_link *l;
    size_t n = 0;

    if (rules->node->type != IST_YAML_LIST) {
        ist_conf_complain(report, rules->line, "rules: must be a list");
        return;
    }
    for (l = rules->node->first; l; l = l->next)
        n++;
    if (n > POLICY_RULES_MAX) {
        ist_conf_complain(report, rules->line, "more than %d rules",
                          POLICY_RULES_MAX);
        return;
    }
    policy->rules = calloc(n ? n : 1, sizeof(*policy->rules));
    if (!policy->rules) {
        ist_conf_complain(report, 0, "out of memory");
        return;
    }
    for (l = rules->node->first; l; l = l->next) {
        unsigned number = (unsigned) ++policy->n_rules;

        rule_read(&policy->rules[number - 1], number, report, l->node);
        if (report->n_errors == 0)
            warn_unreachable(policy, number, report, l->line);
    }
}

static void mode_read(struct policy *policy, struct ist_conf_report *report,
                      const struct ist_yaml_link *l)
{
    const char *word = l->node->type == IST_YAML_SCALAR ? l->node->text : "";
    struct ist_conf_near near;

    ist_conf_near_init(&near, word);
    for (unsigned i = 0; i < IST_COUNT(mode_names); i++) {
        if (strcmp(mode_names[i], word) == 0) {
            policy->mode = (enum policy_mode) i;
            return;
        }
        ist_conf_near_try(&near, mode_names[i]);
    }
    complain_word(report, l->line, "mode", word, &near);
}

static void tree_read(struct policy *policy, struct ist_conf_report *report,
                      const struct ist_yaml_node *root)
{
    static const char *const words[] = {"mode", "rules"};
    struct ist_conf_near near;

    if (!root || root->type != IST_YAML_MAP) {
        ist_conf_complain(report, root ? root->line : 0,
                          "must be a map with mode and rules");
        return;
    }
    if (!ist_yaml_get(root, "mode"))
        ist_conf_complain(report, 0, "mode: is missing");
    for (const struct ist_yaml_link *l = root->first; l; l = l->next) {
        if (strcmp(l->key, "mode") == 0) {
            mode_read(policy, report, l);
        } else if (strcmp(l->key, "rules") == 0) {
            rules_read(policy, report, l);
        } else {
            ist_conf_near_init(&near, l->key);
            for (size_t i = 0; i < IST_COUNT(words); i++)
                ist_conf_near_try(&near, words[i]);
            complain_word(report, l->line, "member of a policy", l->key, &near);
        }
    }
}

static void policy_freep(struct policy **policy)
{
    policy_free(*policy);
}

struct policy *policy_load_report(const char *path,
                                  struct ist_conf_report *report,
                                  struct ist_err *err)
{
    IST_CLEANUP(policy_freep) struct policy *policy = NULL;
    IST_CLEANUP(ist_sb_fini) struct ist_sb sb;
    struct ist_yaml tree;

    ist_sb_init(&sb, 0);
    report->path = path;
    if (ist_conf_read(path, IST_CONF_FILE_MAX, &sb, NULL, err))
        return NULL;
    policy = calloc(1, sizeof(*policy));
    if (!policy) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    crypto_hash_sha256(policy->digest, (const unsigned char *) ist_sb_text(&sb),
                       sb.len);
    if (ist_yaml_parse(&tree, ist_sb_text(&sb), sb.len, 0, report))
        tree_read(policy, report, tree.root);
    ist_yaml_fini(&tree);
    if (ist_conf_verdict(report, err))
        return NULL;
    return IST_TAKE(policy);
}

struct policy *policy_load(const char *path, struct ist_err *err)
{
    IST_CLEANUP(ist_conf_report_fini) struct ist_conf_report report;

    ist_conf_report_init(&report);
    return policy_load_report(path, &report, err);
}

struct policy *policy_free(struct policy *policy)
{
    if (policy)
        free(policy->rules);
    free(policy);
    return NULL;
}
