/* Text of YAML 1.1 as PyYAML judges it: which style it may be written in, and
 * whether it would be read back as something else than text. */
#ifndef CLI_YAML_TEXT_H
#define CLI_YAML_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum cli_yaml_style { CLI_YAML_PLAIN, CLI_YAML_SINGLE, CLI_YAML_DOUBLE };

/* Of text that is not empty, within a block; 'as_key' on the line of its
 * value. */
enum cli_yaml_style cli_yaml_style(const char *text, size_t len, bool as_key);

/* Would a plain scalar of this text be a number, a time, null ...? */
bool cli_yaml_is_other(const char *text);

#endif
