/* windows.h: windows of texts that a teacher feeds, and the flags that choose them. */
#ifndef GEAR_LLM_WINDOWS_H
#define GEAR_LLM_WINDOWS_H

#include "teacher.h"

enum { WINDOWS_TEXTS = 64 };

typedef struct windows_flags {
    const char *texts[WINDOWS_TEXTS];
    uint32_t num_texts, prefill, decode, windows;
} windows_flags;

/* What is not on the command line. */
#define WINDOWS_DEFAULT                                                                                                        \
  {                                                                                                                            \
    .prefill = 1024, .decode = 512, .windows = 1                                                                               \
  }

/* The flags, for a table of argp options, and their parser: ARGP_ERR_UNKNOWN for a key that is not theirs. At ARGP_KEY_END it
 * checks that there is a text, and no zero. */
enum { WINDOWS_KEY_TEXT = 0x780, WINDOWS_KEY_PREFILL, WINDOWS_KEY_DECODE, WINDOWS_KEY_WINDOWS };
#define WINDOWS_OPTIONS                                                                                                        \
  {                                                                                                                            \
      "text", WINDOWS_KEY_TEXT, "FILE[@TOKEN]", 0, "Text, and the token that its first window begins at [0]; may be repeated", \
      3},                                                                                                                      \
      {"prefill", WINDOWS_KEY_PREFILL, "N", 0, "Tokens of a window that are computed exactly and then compressed [1024]", 0},  \
      {"decode", WINDOWS_KEY_DECODE, "N", 0, "Tokens behind them that are fed and scored [512]", 0},                           \
  {                                                                                                                            \
    "windows", WINDOWS_KEY_WINDOWS, "N", 0, "Windows of each text, one behind the other [1]", 0                                \
  }
error_t windows_parse(windows_flags *flags, int key, const char *text, const struct argp_state *state);

/* The windows, and the tokens of the texts that they point into. */
typedef struct windows {
    token_list *texts; /* owned: [num_texts] */
    uint32_t num_texts;
    teacher_text *windows; /* owned: [count] */
    uint32_t count;
} windows;

/* Windows that a text does not have, or the model's context, are refused. Call windows_free in any case. */
bool windows_make(const windows_flags *flags, const engine *e, windows *w, host_error *error);
void windows_free(windows *w);

/* Feeds and scores them all, a group of the teacher's at a time. */
bool windows_run(const windows *w, teacher *t, host_error *error);

#endif
