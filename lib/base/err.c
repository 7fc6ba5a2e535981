#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Drops the rest of a UTF-8 character that snprintf() cut in two. */
static void trim_utf8(char *text)
{
    size_t len = strlen(text), i = len;

    while (i > 0 && ((unsigned char) text[i - 1] & 0xC0) == 0x80)
        i--;
    if (i == 0)
        return;

    unsigned char lead = (unsigned char) text[i - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;

    if (len - (i - 1) < want)
        text[i - 1] = '\0';
}

int ist_err_set(struct ist_err *err, int code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return code;
    *err = (struct ist_err){.code = code};
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    trim_utf8(err->text);
    return code;
}

int ist_err_wrap(struct ist_err *err, const char *fmt, ...)
{
    char front[sizeof(err->text)], old[sizeof(err->text)];
    va_list args;

    if (!err)
        return 0;
    va_start(args, fmt);
    vsnprintf(front, sizeof(front), fmt, args);
    va_end(args);
    memcpy(old, err->text, sizeof(old));
    if ((size_t) snprintf(err->text, sizeof(err->text), "%s: %s", front, old) >=
        sizeof(err->text))
        trim_utf8(err->text);
    return err->code;
}

const char *ist_err_name(int code)
{
    static _Thread_local char name[32];

    if (code < 0)
        return strerror(-code);
    snprintf(name, sizeof(name), "outcome %d", code);
    return code == 0 ? "success" : name;
}
