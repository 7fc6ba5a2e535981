#include "os/credential.h"

#include "codec/json.h"
#include "conf/file.h"
#include "os/fail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64U * 1024)

static void finish(struct os_credential *c, const struct ist_err *err)
{
    c->op.err = *err;
    ist_op_finish(&c->op, err->code);
}

/* --- The answer --- */

/* Its status is looked at when all of it is there. */
static void on_head(struct os_exchange *exchange)
{
    (void) exchange;
}

static int on_data(struct os_exchange *exchange, const void *data, size_t size)
{
    struct os_credential *c =
        IST_CONTAINER(exchange, struct os_credential, exchange);

    ist_sb_add(&c->answer, data, size);
    return c->answer.rc;
}

static int take_answer(struct os_credential *c, struct ist_err *err)
{
    struct ist_json_slice doc = {ist_sb_text(&c->answer), c->answer.len};
    struct ist_json_slice id = ist_json_find(doc, "application_credential.id");
    struct ist_json_slice secret =
        ist_json_find(doc, "application_credential.secret");

    c->secret = malloc(secret.size + 1);
    if (!c->secret)
        return ist_err_set(err, -ENOMEM, "out of memory");
    c->secret[0] = '\0';
    if (!ist_json_text(id, c->id, sizeof(c->id), NULL) || c->id[0] == '\0' ||
        !ist_json_text(secret, c->secret, secret.size + 1, NULL) ||
        c->secret[0] == '\0')
        return os_fail(err, os_identity(), ist_sb_text(&c->target),
                       OS_E_BAD_ANSWER,
                       "the new application credential has no id or no secret");
    return 0;
}

static void on_answered(struct ist_op *op)
{
    struct os_exchange *exchange = IST_CONTAINER(op, struct os_exchange, op);
    struct os_credential *c =
        IST_CONTAINER(exchange, struct os_credential, exchange);
    struct ist_err err = {.code = 0};

    if (c->op.state != IST_OP_RUNNING)
        ist_err_set(&err, -ECANCELED, "cancelled");
    else if (op->rc)
        err = op->err;
    else if (exchange->call.status == 201)
        take_answer(c, &err);
    else
        os_fail_status(&err, os_identity(), ist_sb_text(&c->target),
                       exchange->call.status, ist_sb_text(&c->answer),
                       c->answer.len);
    finish(c, &err);
}

/* --- The request --- */

static void put_body(struct os_credential *c)
{
    ist_sb_puts(&c->body, "{\"application_credential\":{\"name\":");
    ist_sb_json(&c->body, c->name, strlen(c->name));
    ist_sb_puts(&c->body, ",\"unrestricted\":false,\"roles\":[");
    for (size_t i = 0; i < c->n_roles; i++) {
        ist_sb_puts(&c->body, i ? ",{\"name\":" : "{\"name\":");
        ist_sb_json(&c->body, c->roles[i], strlen(c->roles[i]));
        ist_sb_putc(&c->body, '}');
    }
    ist_sb_puts(&c->body, "]}}");
}

static void ask(struct os_credential *c)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: application/json", NULL};
    struct os_exchange *exchange = &c->exchange;

    ist_sb_printf(&c->target, "/v3/users/%s/application_credentials",
                  os_cloud_user(c->cloud));
    put_body(c);
    *exchange = (struct os_exchange){.cloud = c->cloud,
                                     .service = os_identity(),
                                     .method = "POST",
                                     .target = ist_sb_text(&c->target),
                                     .headers = headers,
                                     .body = ist_sb_text(&c->body),
                                     .body_size = c->body.len,
                                     .on_head = on_head,
                                     .on_data = on_data};
    ist_op_prepare(&exchange->op, c->op.loop, &c->op, 0, on_answered);
    os_exchange_start(exchange);
}

static void on_login(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);
    struct os_credential *c = IST_CONTAINER(login, struct os_credential, login);
    struct ist_err err;

    if (c->op.state != IST_OP_RUNNING) {
        ist_err_set(&err, -ECANCELED, "cancelled");
        finish(c, &err);
    } else if (op->rc) {
        finish(c, &op->err);
    } else if (os_cloud_user(c->cloud)[0] == '\0') {
        os_fail(&err, os_identity(), NULL, OS_E_BAD_ANSWER,
                "the login does not say which user it is");
        finish(c, &err);
    } else {
        ask(c);
    }
}

void os_credential_start(struct os_credential *c)
{
    ist_sb_init(&c->target, 0);
    ist_sb_init(&c->body, 0);
    ist_sb_init(&c->answer, ANSWER_MAX);
    /* Room for all of it, so that growing leaves no copy of the secret. */
    ist_sb_reserve(&c->answer, ANSWER_MAX - 1);
    ist_op_begin(&c->op, NULL);
    ist_op_prepare(&c->login.op, c->op.loop, &c->op, 0, on_login);
    os_login_start(c->cloud, &c->login);
}

void os_credential_fini(struct os_credential *c)
{
    os_exchange_fini(&c->exchange);
    ist_sb_fini(&c->target);
    ist_sb_fini(&c->body);
    ist_sb_wipe(&c->answer);
    c->secret = ist_conf_secret_free(c->secret);
}
