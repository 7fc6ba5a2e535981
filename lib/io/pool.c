#include "io/pool.h"

static void in_pool(uv_work_t *req)
{
    struct ist_work *work = req->data;

    work->rc = work->run(work);
}

static void after(uv_work_t *req, int status)
{
    struct ist_work *work = req->data;

    ist_op_finish(&work->op, status ? status : work->rc);
}

/* Only what is still queued can be cancelled; 'after' comes either way. */
static void cancel(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);

    if (op->loop->uv)
        uv_cancel((uv_req_t *) &work->req);
}

void ist_work_start(struct ist_work *work, ist_work_fn *run)
{
    int rc;

    work->run = run;
    work->req.data = work;
    ist_op_begin(&work->op, cancel);
    if (!work->op.loop->uv) {
        ist_op_finish(&work->op, run(work));
        return;
    }
    rc = uv_queue_work(work->op.loop->uv, &work->req, in_pool, after);
    if (rc)
        ist_op_finish(&work->op, rc);
}
