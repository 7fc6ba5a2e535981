#include "cli/noc.h"

#include "cli/say.h"
#include "codec/armour.h"
#include "codec/delegation.h"
#include "codec/file.h"
#include "codec/statement.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX    65536 /* Of a file. */
#define SPKI_PREFIX 12    /* Of an Ed25519 key, RFC 8410. */

/* The signature */

static bool decode(const char *text, uint8_t *buf, size_t room, size_t *ret)
{
    return sodium_base642bin(buf, room, text, strlen(text), NULL, ret, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0;
}

/* Old messages were signed under delegations that may have run out since:
 * their times are not compared with now. */
static bool take_delegation(struct cli_noc *noc, const char *text)
{
    uint8_t bytes[IST_DELEGATION_SIZE_MAX];
    struct ist_delegation delegation;
    struct ist_err err;
    size_t size;

    if (strcmp(text, noc->delegation) == 0)
        return true;
    if (strlen(text) >= sizeof(noc->delegation) ||
        !decode(text, bytes, sizeof(bytes), &size) ||
        ist_delegation_verify(bytes, size, noc->root, IST_ROLE_HUB, 0,
                              &delegation, &err))
        return false;
    snprintf(noc->delegation, sizeof(noc->delegation), "%s", text);
    memcpy(noc->signer, delegation.signing_key, sizeof(noc->signer));
    return true;
}

static const char *header(const struct ist_bus_message *message,
                          const char *name)
{
    for (size_t i = 0; i < message->n_headers; i++) {
        if (strcmp(message->headers[i].name, name) == 0)
            return message->headers[i].value;
    }
    return "";
}

bool cli_noc_verify(struct cli_noc *noc, const struct ist_bus_message *message)
{
    uint8_t signature[crypto_sign_BYTES];
    size_t size;

    return take_delegation(noc, header(message, "isthmus-delegation")) &&
           decode(header(message, "isthmus-signature"), signature,
                  sizeof(signature), &size) &&
           size == sizeof(signature) &&
           ist_statement_verify(IST_STATEMENT_EVENTS, message->body,
                                message->size, signature, noc->signer);
}

/* The folder */

static int read_text(const json_t *settings, const char *name, char *buf,
                     size_t size)
{
    const char *text = json_string_value(json_object_get(settings, name));

    if (!text)
        return cli_fail(CLI_FAILED, "noc.json has no '%s'", name);
    if ((size_t) snprintf(buf, size, "%s", text) >= size)
        return cli_fail(CLI_FAILED, "noc.json: '%s' is too long", name);
    return 0;
}

/* A file of the folder. */
static int read_path(const char *folder, const json_t *settings,
                     const char *name, char path[PATH_MAX])
{
    char file[NAME_MAX + 1];
    int rc = read_text(settings, name, file, sizeof(file));

    if (rc == 0 && ist_file_path(path, PATH_MAX, folder, file))
        rc = cli_fail(CLI_FAILED, "%s: the path is too long", file);
    return rc;
}

static int read_root(struct cli_noc *noc, const char *path)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text, der;
    struct ist_err err;

    ist_sb_init(&text, TEXT_MAX);
    ist_sb_init(&der, TEXT_MAX);
    if (ist_file_read(path, IST_FILE_GIVEN, &text, &err))
        return cli_fail(CLI_FAILED, "%s", err.text);
    if (ist_armour_read(ist_sb_text(&text), text.len, "PUBLIC KEY", &der) ||
        der.len != SPKI_PREFIX + sizeof(noc->root))
        return cli_fail(CLI_FAILED, "%s: not an Ed25519 public key", path);
    memcpy(noc->root, der.data + SPKI_PREFIX, sizeof(noc->root));
    return 0;
}

static int read_settings(struct cli_noc *noc, const char *folder,
                         const json_t *settings)
{
    char root[PATH_MAX];
    const struct {
        const char *name;
        char *path;
    } files[] = {{"ca", noc->ca},
                 {"certificate", noc->certificate},
                 {"key", noc->key},
                 {"hub", root}};
    int rc = read_text(settings, "url", noc->url, sizeof(noc->url));

    if (rc == 0)
        rc = read_text(settings, "queue", noc->queue, sizeof(noc->queue));
    for (size_t i = 0; i < IST_COUNT(files) && rc == 0; i++)
        rc = read_path(folder, settings, files[i].name, files[i].path);
    return rc ? rc : read_root(noc, root);
}

int cli_noc_read(struct cli_noc *noc, const char *folder)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    char path[PATH_MAX];
    json_t *settings;
    struct ist_err err;
    int rc;

    *noc = (struct cli_noc){.url = ""};
    ist_sb_init(&text, TEXT_MAX);
    if (ist_file_path(path, sizeof(path), folder, "noc.json"))
        return cli_fail(CLI_USAGE, "--bus: the path is too long");
    if (ist_file_read(path, IST_FILE_GIVEN, &text, &err))
        return cli_fail(CLI_USAGE,
                        "--bus: %s; the folder is made by 'isthmus-hub noc "
                        "add'",
                        err.text);
    settings = json_loadb(ist_sb_text(&text), text.len, 0, NULL);
    if (!json_is_object(settings))
        rc = cli_fail(CLI_FAILED, "%s: not a JSON object", path);
    else
        rc = read_settings(noc, folder, settings);
    json_decref(settings);
    return rc;
}
