#include "cli/out.h"

#include "base/parse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct cli_format formats[] = {
    {"table", cli_out_table_list, cli_out_table_one},
    {"json", cli_out_json_list, cli_out_json_one},
    {"csv", cli_out_csv_list, NULL},
    {"value", cli_out_value_list, cli_out_value_one},
    {"yaml", cli_out_yaml_list, cli_out_yaml_one},
    {"shell", NULL, cli_out_shell_one},
};

const struct cli_format *cli_format_find(const char *name, bool one)
{
    for (size_t i = 0; i < IST_COUNT(formats); i++) {
        if (strcmp(formats[i].name, name) == 0 &&
            (one ? formats[i].one : formats[i].list))
            return &formats[i];
    }
    return NULL;
}

static unsigned terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    uint64_t width;

    if (columns && ist_parse_u64(columns, 1, 100000, &width))
        return (unsigned) width;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        return size.ws_col;
    return 0;
}

unsigned cli_out_width(const struct cli_args *args)
{
    if (args->max_width)
        return (unsigned) args->max_width;
    return args->fit_width && isatty(STDOUT_FILENO) ? terminal_width() : 0;
}

bool cli_out_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && *no) && term &&
           strcmp(term, "dumb") != 0;
}
