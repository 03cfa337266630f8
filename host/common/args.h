/* args.h: what all command lines share: number parsing, --version, exit code 2 for usage errors, the program cache. */
#ifndef HOST_ARGS_H
#define HOST_ARGS_H

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

/* Sets the exit code of usage errors and the text of --version. Call first in main. */
void args_setup(void);

/* Parse a whole argument or end the program with "program: --NAME: ..." and exit code 2. */
uint32_t args_u32(const char *name, const char *text, const struct argp_state *state);
uint64_t args_u64(const char *name, const char *text, const struct argp_state *state);
float args_float(const char *name, const char *text, const struct argp_state *state);
/* Index of `text` in names[count]. */
uint32_t args_choice(const char *name, const char *text, const char *const *names, uint32_t count,
                     const struct argp_state *state);

/* A child parser for --device, --program-cache and --no-program-cache; its input is a device_flags. */
typedef struct device_flags {
    const char *device;        /* NULL: any */
    const char *program_cache; /* NULL: the user's cache directory */
    int no_program_cache;
} device_flags;

extern const struct argp device_argp;

/* Directory for compiled programs, created when missing; the caller frees it. NULL where there is none: then programs are
 * kept in memory only. Without --program-cache it is $XDG_CACHE_HOME/gear or $HOME/.cache/gear. */
char *args_program_cache(const device_flags *flags);

#endif
