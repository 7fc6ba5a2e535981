/* The commands. Removing is one rename, after which the hub refuses the site,
 * and only then the broker's turn. */
#include "admin/commands.h"

#include "admin/broker.h"
#include "admin/site_priv.h"
#include "admin/topology.h"
#include "base/clock.h"
#include "codec/bundle.h"
#include "codec/file.h"
#include "codec/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus-hub site add NAME BUNDLE --state DIR --out FILE\n"
    "           [--rabbitmqctl PATH | --no-broker] [--bus-url URL]\n"
    "       isthmus-hub site list --state DIR\n"
    "       isthmus-hub site remove NAME --state DIR\n"
    "           [--rabbitmqctl PATH | --no-broker]\n"
    "\n"
    "add      takes the bundle that 'isthmus-agent keys' wrote at the site, "
    "and\n"
    "         writes the one to bring there. Again: renews the certificate, "
    "and\n"
    "         takes over keys that the site has renewed.\n"
    "remove   for good: the same keys are never taken again.\n"
    "\n"
    "  --out FILE          the bundle for the site; '-' for the terminal\n"
    "  --rabbitmqctl PATH  rabbitmqctl of the broker, from the PATH if not "
    "given\n"
    "  --no-broker         leave the broker alone; 'isthmus-hub topology "
    "--site\n"
    "                      NAME' prints what it must be given\n"
    "  --bus-url URL       if this site reaches the broker by another "
    "address\n";

/* Listing */

static void print_site(const struct admin_home *home, const char *name)
{
    char words[IST_WORDS_SIZE], keys[IST_CLOCK_TEXT_SIZE],
        until[IST_CLOCK_TEXT_SIZE] = "-", uid[IST_ID_UUID_SIZE];
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    struct ist_x509_info info;
    struct ist_err err;
    ADMIN_PEM pem;

    admin_pem_init(&pem);
    ist_arena_init(&arena, ADMIN_SITE_ARENA);
    if (admin_site_bundle(home, name, &arena, &bundle, &err) != 0) {
        printf("%-32s  unusable: %s\n", name, err.text);
        return;
    }
    ist_clock_text(bundle.delegation.not_after_ms, keys);
    if (admin_site_read(home, name, "cert.pem", &pem, NULL) == 0 &&
        ist_x509_read(pem.data, pem.len, &info, NULL) == 0)
        ist_clock_text(info.not_after_ms, until);
    printf("%-32s  %s  %.10s  %-11.10s  %s\n", name,
           ist_id_uuid(&bundle.delegation.subject, uid), keys, until,
           ist_words(bundle.root, words));
}

static int run_list(const struct admin_home *home,
                    const struct admin_request *request, struct ist_err *err)
{
    struct admin_names sites;
    int rc = admin_names(home, "sites", &sites, err);

    (void) request;
    if (rc)
        return rc;
    printf("%-32s  %-36s  %-10s  %-11s  %s\n", "NAME", "UID", "KEYS UNTIL",
           "CERT. UNTIL", "FINGERPRINT");
    for (size_t i = 0; i < sites.n; i++)
        print_site(home, sites.names[i]);
    admin_names_free(&sites);
    return 0;
}

/* Removing */

static int put_away(const struct admin_home *home,
                    const struct admin_request *request, struct ist_err *err)
{
    char uid[IST_ID_HEX_SIZE], from_name[64], to_name[64];
    char from[PATH_MAX], to[PATH_MAX];
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    int rc;

    ist_arena_init(&arena, ADMIN_SITE_ARENA);
    rc = admin_site_bundle(home, request->name, &arena, &bundle, err);
    if (rc)
        return rc;
    snprintf(from_name, sizeof(from_name), "sites/%s", request->name);
    snprintf(to_name, sizeof(to_name), "removed/%s",
             ist_id_hex(&bundle.delegation.subject, uid));
    rc = admin_path(home, from_name, from, err);
    if (rc == 0)
        rc = admin_path(home, to_name, to, err);
    if (rc == 0 && rename(from, to) != 0)
        rc = ist_err_set(err, -errno, "%s: cannot be put away: %s", from,
                         strerror(errno));
    return rc ? rc : admin_site_touch(home, request->now_ms, err);
}

/* Was a site of that name put away already? Then the broker may still have
 * to be told. */
static bool was_removed(const struct admin_home *home, const char *name)
{
    struct admin_names removed;
    bool found = false;

    if (admin_names(home, "removed", &removed, NULL))
        return false;
    for (size_t i = 0; i < removed.n; i++) {
        IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
        IST_CLEANUP(ist_sb_fini) struct ist_sb text;
        struct ist_bundle_site bundle;
        char part[128];

        ist_arena_init(&arena, ADMIN_SITE_ARENA);
        ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
        snprintf(part, sizeof(part), "removed/%.64s/bundle", removed.names[i]);
        found = found || (admin_read(home, part, false, &text, NULL) == 0 &&
                          ist_bundle_site_parse(text.data, text.len, 0, &arena,
                                                &bundle, NULL) == 0 &&
                          strcmp(bundle.name, name) == 0);
    }
    admin_names_free(&removed);
    return found;
}

static int run_remove(const struct admin_home *home,
                      const struct admin_request *request, struct ist_err *err)
{
    int rc = put_away(home, request, err);

    if (rc == -ENOENT) {
        if (!was_removed(home, request->name))
            return ist_err_set(err, rc, "no site is called %s", request->name);
        rc = 0;
    }
    if (rc == 0)
        rc = broker_write_definitions(home, err);
    if (rc == 0 && !request->no_broker)
        rc = broker_remove_site(request->rabbitmqctl, request->name, err);
    if (rc == 0)
        printf("removed %s%s\n", request->name,
               request->no_broker ? "; the broker still has its user and queues"
                                  : "");
    return rc;
}

/* The command line */

static const struct admin_verb verbs[] = {
    {"add", 2, "add takes a name and a bundle", true, admin_site_add},
    {"list", 0, "list takes no names", false, run_list},
    {"remove", 1, "remove takes one name", false, run_remove},
};

int admin_site_command(int argc, char **argv)
{
    static const struct admin_verbs site = {"site", usage, verbs,
                                            IST_COUNT(verbs), true};

    return admin_verbs_command(&site, argc, argv);
}
