/* e2e_real.c: see the header. The files are known, so their .npy headers are only skipped. */
#include "e2e_real.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/half.h"
#include "open_cl.h"

#define COUNT ((size_t)E2E_REAL_HEADS * E2E_REAL_TOKENS * E2E_REAL_DIM)

static float *load(const char *name)
{
    char path[1024];
    unsigned char head[10];
    uint16_t *bits = malloc(COUNT * sizeof *bits);
    float *values = malloc(COUNT * sizeof *values);
    (void)snprintf(path, sizeof path, "%s/tests/data/smollm2-kv/%s.npy", test_root(), name);
    FILE *file = fopen(path, "rb");
    cr_assert(file && bits && values, "cannot read %s", path);
    cr_assert_eq(fread(head, 1, sizeof head, file), sizeof head);
    cr_assert_eq(fseek(file, 10 + head[8] + 256 * head[9], SEEK_SET), 0);
    cr_assert_eq(fread(bits, sizeof *bits, COUNT, file), COUNT, "%s is too short", path);
    (void)fclose(file);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = gear__float_from_half(bits[i]);
    }
    free(bits);
    return values;
}

void e2e_real_open(e2e_real *real, uint32_t index)
{
    static const char *const layers[E2E_REAL_LAYERS] = {"L00", "L01", "L07", "L14", "L22", "L29"};
    char name[32];
    (void)snprintf(name, sizeof name, "%s_k_post", layers[index]);
    real->k = load(name);
    (void)snprintf(name, sizeof name, "%s_v", layers[index]);
    real->v = load(name);
}

void e2e_real_close(e2e_real *real)
{
    free(real->k);
    free(real->v);
}

static size_t index_of(uint32_t head, uint32_t token, uint32_t channel)
{
    return ((size_t)head * E2E_REAL_TOKENS + token) * E2E_REAL_DIM + channel;
}

float e2e_real_key(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    (void)seq;
    return ((const e2e_real *)user)->k[index_of(head, token, channel)];
}

float e2e_real_value(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    (void)seq;
    return ((const e2e_real *)user)->v[index_of(head, token, channel)];
}
