/* stage_run.c: the loops of the stage tests over cases and data, and the check that most kernels share. */
#include <criterion/criterion.h>
#include <string.h>

#include "stage_world.h"

void stage_check_round(stage_world *w, uint32_t is_v, stage_step step, stage_launch launch)
{
    stage_world_put(w);
    STAGE_LAUNCH(w->bench, launch(&stream, &w->round, is_v, &error));
    stage_ref_step(w, is_v, step);
    stage_world_same(w, is_v ? "V" : "K");
}

int stage_other_form(stage_bench *bench, uint64_t kernels)
{
    int two_forms = 0;
    for (int id = 0; id < GEAR__NUM_KERNELS; id++) {
        two_forms |= kernels >> id & 1u && gear__kernel_has_cpu_form((gear__kernel_id)id);
    }
    const int is_by_warps = bench->append.is_fused && bench->append.has_tensor_cores; /* the others have a test of their own */
    if (!two_forms || is_by_warps || bench->append.work_items == 64) {
        return 0;
    }
    /* from the form for CPU devices to the other, and on to that of a device of small work-groups */
    const int has_128 = bench->device.caps.max_work_group >= 128;
    bench->append.work_items = bench->append.work_items == 1 && has_128 ? 128 : 64;
    bench->append.most_items = bench->append.work_items == 64 ? 64 : bench->append.most_items;
    bench->append.has_tensor_cores = bench->append.has_tensor_cores && bench->append.work_items != 64;
    return 1;
}

void stage_run_all(const char *name, stage_step step, uint64_t kernels, stage_check check)
{
    stage_run_tiled(name, step, kernels, NULL, check);
}

void stage_run_tiled(const char *name, stage_step step, uint64_t kernels, const gear__append_tile *tile, stage_check check)
{
    stage_bench bench;
    stage_open(&bench);
    bench.append = tile ? *tile : bench.append;
    stage_run_opened(&bench, step, kernels, check);
    stage_close(&bench, name);
}

/* Whether the case takes this kind of data. is_again: the same kernels ran all of it on larger work-groups; each case then
 * takes one kind, of fits smooth data besides the extreme, of which no bound is checked. Of the kernels that are compiled for
 * the codec, every second case and KCVT: each head_dim, number of bits below 16, axis and outlier rule is among them. */
static int takes(const stage_case *c, uint32_t i, int data, stage_step step, int is_again)
{
    if (stage_tiny()) {
        return data == (i ? STAGE_SMOOTH : STAGE_EXTREME);
    }
    const int by_codec = step == STAGE_QUANTIZE || step == STAGE_OUTLIER_LISTS, kind = (int)(i % STAGE_DATA_KINDS);
    if (is_again && by_codec && i % 2 && c->k.backbone != GEAR_BACKBONE_KCVT) {
        return 0;
    }
    return !is_again || data == kind || (step == STAGE_LOWRANK && kind == STAGE_EXTREME && data == STAGE_SMOOTH);
}

void stage_run_opened(stage_bench *bench, stage_step step, uint64_t kernels, stage_check check)
{
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    int ran_portable = 0; /* on more than 64 work-items; neither the form for CPU devices nor that for tensor cores */
    do {
        const int is_again = ran_portable && bench->append.work_items == 64;
        ran_portable |= bench->append.work_items > 64 && !bench->append.has_tensor_cores;
        for (uint32_t i = 0; i < count; i++) {
            for (int data = 0; data < STAGE_DATA_KINDS; data++) {
                if (!takes(&cases[i], i, data, step, is_again)) {
                    continue;
                }
                stage_world world;
                stage_world_open(&world, bench, &cases[i], (stage_data)data, kernels);
                stage_world_run(&world, step, check);
                stage_world_close(&world);
            }
        }
    } while (stage_other_form(bench, kernels));
}

void stage_run_readers(const char *name, stage_data even, stage_data odd, uint64_t kernels, void (*check)(stage_world *world))
{
    stage_bench bench;
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    stage_open(&bench);
    for (uint32_t i = 0; i < count; i++) {
        stage_world world;
        stage_world_open(&world, &bench, &cases[i], i % 2 ? odd : even, kernels);
        stage_world_run(&world, STAGE_NONE, NULL);
        stage_world_put(&world);
        check(&world);
        stage_world_same(&world, "read only");
        stage_world_close(&world);
    }
    stage_close(&bench, name);
}

void stage_seq_words(const stage_seq *seq, uint32_t words[GEAR__SEQ_WORDS])
{
    memset(words, 0, GEAR__SEQ_WORDS * sizeof *words);
    words[GEAR__SEQ_SLOT] = seq->slot;
    words[GEAR__SEQ_LENGTH] = seq->length;
    words[GEAR__SEQ_FIRST] = seq->first;
    words[GEAR__SEQ_BLOCKS] = seq->blocks;
}
