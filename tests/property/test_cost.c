/* test_cost.c: what the verbs cost besides the device's time: commands, OpenCL objects, compiled files, memory that comes
 * back. */
#define _XOPEN_SOURCE 700 /* mkdtemp, setenv, nftw */
#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "e2e_drive.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

static const uint32_t seed = 3;

/* Nothing but launches, arguments and questions. */
static void check_calls(const char *what, uint32_t step, long enqueued)
{
    cr_assert_eq(wrap_calls(WRAP_ENQUEUE), enqueued, "%s, step %u: %ld commands", what, step, wrap_calls(WRAP_ENQUEUE));
    cr_assert_eq(wrap_calls(WRAP_COMPILE), 0, "%s, step %u compiles", what, step);
    cr_assert_eq(wrap_calls(WRAP_ALLOCATE), 0, "%s, step %u allocates", what, step);
    cr_assert_eq(wrap_calls(WRAP_CREATE), 0, "%s, step %u creates", what, step);
    cr_assert_eq(wrap_calls(WRAP_WAIT), 0, "%s, step %u waits", what, step);
}

Test(cost, commands_and_objects_of_the_verbs)
{
    enum { SEQS = 3, DIM = 64, HEADS = 2, STEPS = 150 };
    static const uint32_t prompts[SEQS] = {150, 65, 3}, ones[SEQS] = {1, 1, 1};
    e2e_rig rig;
    e2e_tensor prompt[2], step[2], q, o;
    gear_sequence names[SEQS];
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS, DIM, 1000);
    desc.capacity_sequences = SEQS;
    desc.exact_first = 4;
    gear_cache *cache = e2e_cache(&rig, &desc);
    for (uint32_t i = 0; i < SEQS; i++) {
        names[i] = e2e_add(&rig, cache);
    }
    for (int s = 0; s < 2; s++) {
        e2e_tensor_open(&rig, &prompt[s], GEAR_F16, E2E_PACKED, HEADS, DIM, SEQS, prompts);
        e2e_tensor_open(&rig, &step[s], GEAR_F16, E2E_PACKED, HEADS, DIM, SEQS, ones);
        e2e_fill(&rig, &prompt[s], s ? e2e_value : e2e_key, &seed, NULL);
        e2e_fill(&rig, &step[s], s ? e2e_value : e2e_key, &seed, prompts);
    }
    e2e_tensor_open(&rig, &q, GEAR_F16, E2E_PACKED, HEADS, DIM, SEQS, ones);
    e2e_tensor_open(&rig, &o, GEAR_F16, E2E_PACKED, HEADS, DIM, SEQS, ones);
    e2e_fill(&rig, &q, e2e_query, &seed, NULL);
    gear_cache_plan plan;
    gear_cache_plan_init(&plan);
    E2E_OK(&rig, gear_cache_query(rig.context, &desc, &plan, &rig.error));
    const long launches = strcmp(plan.variant, "nvidia") == 0 ? 1 : 2; /* that kernel merges the splits itself */
    const gear_batch first = {SEQS, names, prompts, 0}, next = {SEQS, names, NULL, 1};
    long host_blocks = wrap_alloc_count(), steady = 0;
    uint64_t before[SEQS] = {0};
    wrap_reset_calls();
    E2E_OK(&rig, gear_append(cache, 0, &first, &prompt[0].view, &prompt[1].view, &rig.sync, &rig.error));
    check_calls("prompt", 0, wrap_calls(WRAP_ENQUEUE));
    for (uint32_t i = 0; i < STEPS; i++) {
        int compresses = 0;
        wrap_reset_calls();
        E2E_OK(&rig, gear_append(cache, 0, &next, &step[0].view, &step[1].view, &rig.sync, &rig.error));
        for (uint32_t s = 0; s < SEQS; s++) {
            uint64_t compressed;
            (void)e2e_length(&rig, cache, 0, names[s], &compressed);
            compresses |= compressed != before[s];
            before[s] = compressed;
        }
        /* A call that compresses, and the one after it, bring new lists to the device; the others do not. */
        long commands = wrap_calls(WRAP_ENQUEUE);
        check_calls("append", i, commands);
        steady = compresses || i == 0 ? 0 : steady + 1;
        cr_assert(steady < 2 || commands == 1, "append, step %u: %ld commands", i, commands);
        wrap_reset_calls();
        E2E_OK(&rig, gear_attend(cache, 0, &next, &q.view, NULL, &o.view, &rig.sync, &rig.error));
        commands = wrap_calls(WRAP_ENQUEUE);
        check_calls("attend", i, commands);
        cr_assert(commands == launches || (steady < 1 && commands <= launches + 2), "attend, step %u: %ld commands", i,
                  commands);
        (void)clFinish(rig.cl.queue);
    }
    wrap_reset_calls();
    E2E_OK(&rig, gear_flush(cache, 0, &next, &rig.sync, &rig.error));
    check_calls("flush", 0, wrap_calls(WRAP_ENQUEUE));
    cr_assert_eq(wrap_alloc_count(), host_blocks, "the verbs allocated host memory");
    (void)clFinish(rig.cl.queue);
    for (int s = 0; s < 2; s++) {
        e2e_tensor_close(&prompt[s]);
        e2e_tensor_close(&step[s]);
    }
    e2e_tensor_close(&q);
    e2e_tensor_close(&o);
    gear_cache_destroy(cache);
    e2e_close(&rig);
}

/* Entries of a block: index and delta; list lengths, bases, and the scale of deltas of 8 bits. What the plan says is what a
 * block takes. */
Test(cost, bytes_of_outliers)
{
    enum { HEADS = 2, ENTRIES = 82 }; /* 2 % of 64 x 64 */
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t width = 8; width <= 16; width += 8) {
        const uint64_t side = ENTRIES * (1 + width / 8) + 64 + (width == 8 ? 2 : 0), expected = HEADS * (2 * side + 8);
        const e2e_source source = e2e_synthetic(&seed, 0);
        gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
        gear_cache_plan plan;
        gear_bytes before, after;
        codec.k.outlier_rule = codec.v.outlier_rule = GEAR_OUTLIER_BLOCK;
        codec.k.delta_bits = codec.v.delta_bits = width;
        gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS, 64, 128);
        gear_cache_plan_init(&plan);
        E2E_OK(&rig, gear_cache_query(rig.context, &desc, &plan, &rig.error));
        cr_assert_eq(plan.decode_block.outliers, expected, "%u bits: %llu bytes planned, not %llu", width,
                     (unsigned long long)plan.decode_block.outliers, (unsigned long long)expected);
        gear_cache *cache = e2e_cache(&rig, &desc);
        gear_sequence sequence = e2e_add(&rig, cache);
        E2E_OK(&rig, gear_cache_bytes(cache, 0, &before, &rig.error));
        e2e_append(&rig, cache, &desc, sequence, &source, 0, 64);
        e2e_flush(&rig, cache, sequence);
        E2E_OK(&rig, gear_cache_bytes(cache, 0, &after, &rig.error));
        cr_assert_eq(after.outliers, expected);
        cr_assert_eq(before.unused - after.unused, plan.decode_block.total);
        gear_cache_destroy(cache);
    }
    e2e_close(&rig);
}

/* Sequences come and go; the pool, filled to its last token each time, always has room, and every byte comes back. */
Test(cost, memory_of_sequences_comes_back)
{
    enum { SEQS = 3, TOKENS = 400 };
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_MIXED, 2, 2, 0.02f);
    codec.v = e2e_codec(GEAR_BACKBONE_KCVT, 2, 2, 0.02f).v;
    gear_cache_desc desc = e2e_desc(&codec, 1, 1, 64, TOKENS);
    desc.capacity_sequences = SEQS;
    desc.exact_first = GEAR_EXACT_AUTO;
    desc.max_segment_tokens = 128;
    gear_cache *cache = e2e_cache(&rig, &desc);
    gear_bytes empty, full, now;
    gear_sequence names[SEQS], gone = 0;
    E2E_OK(&rig, gear_cache_bytes(cache, GEAR_ALL_LAYERS, &empty, &rig.error));
    for (uint32_t round = 0; round < 12; round++) {
        static const uint32_t lengths[][SEQS] = {{200, 100, 100}, {1, 65, 334}, {129, 271, 0}, {64, 64, 272}};
        uint64_t digests[SEQS];
        for (uint32_t i = 0; i < SEQS; i++) {
            const e2e_source source = e2e_synthetic(&seed, i);
            uint32_t n = lengths[round % 4][i], done = 0;
            names[i] = e2e_add(&rig, cache);
            cr_assert_neq(names[i], gone);
            while (done < n) {
                uint32_t piece = 1 + (round * 31 + done) % 90;
                piece = piece < n - done ? piece : n - done;
                e2e_append(&rig, cache, &desc, names[i], &source, done, piece);
                done += piece;
            }
        }
        E2E_OK(&rig, gear_cache_bytes(cache, GEAR_ALL_LAYERS, &full, &rig.error));
        cr_assert_eq(full.total, empty.total);
        cr_assert_lt(full.unused, empty.unused);
        for (uint32_t i = 0; i < SEQS; i++) {
            const e2e_source source = e2e_synthetic(&seed, i);
            digests[i] = e2e_digest(&rig, cache, &desc, names[i], &source);
        }
        /* Clearing or removing one leaves the others as they are. */
        if (round % 2) {
            E2E_OK(&rig, gear_sequence_clear(cache, names[1], &rig.error));
            cr_assert_eq(e2e_length(&rig, cache, 0, names[1], NULL), 0);
        }
        E2E_OK(&rig, gear_sequence_remove(cache, names[1], &rig.error));
        gone = names[1];
        for (uint32_t i = 0; i < SEQS; i += 2) {
            const e2e_source source = e2e_synthetic(&seed, i);
            cr_assert_eq(e2e_digest(&rig, cache, &desc, names[i], &source), digests[i], "round %u sequence %u", round, i);
            E2E_OK(&rig, gear_sequence_remove(cache, names[i], &rig.error));
        }
        E2E_OK(&rig, gear_cache_bytes(cache, GEAR_ALL_LAYERS, &now, &rig.error));
        cr_assert_eq(memcmp(&now, &empty, sizeof now), 0, "round %u: %llu bytes unused, not %llu", round,
                     (unsigned long long)now.unused, (unsigned long long)empty.unused);
        cr_assert_eq(gear_sequence_remove(cache, gone, NULL), GEAR_ERROR_SEQUENCE);
    }
    gear_cache_destroy(cache);
    e2e_close(&rig);
}

/* Files under a folder. */
static long count_files(const char *path)
{
    long count = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char name[2048];
        struct stat info;
        if (entry->d_name[0] != '.' && snprintf(name, sizeof name, "%s/%s", path, entry->d_name) < (int)sizeof name &&
            !stat(name, &info)) {
            count += S_ISDIR(info.st_mode) ? count_files(name) : 1;
        }
    }
    if (folder) {
        (void)closedir(folder);
    }
    return count;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void remove_folder(const char *path)
{
    cr_assert_eq(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* A prompt of `length` tokens, a decode step, attend and reconstruct. */
static void use_length(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, uint32_t length)
{
    const e2e_source source = e2e_synthetic(&seed, 0);
    gear_sequence sequence = e2e_add(rig, cache);
    e2e_append(rig, cache, desc, sequence, &source, 0, length);
    e2e_append(rig, cache, desc, sequence, &source, length, 1);
    (void)e2e_digest(rig, cache, desc, sequence, &source);
    E2E_OK(rig, gear_sequence_remove(cache, sequence, &rig->error));
}

Test(cost, a_new_length_compiles_nothing)
{
    char folder[] = "/tmp/gear-lengths-XXXXXX"; /* PoCL's cache for this test alone: others fill theirs at the same time */
    e2e_rig rig;
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(setenv("POCL_CACHE_DIR", folder, 1), 0);
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, 700);
    gear_cache *cache = e2e_cache(&rig, &desc);
    for (uint32_t i = 0; i < 3; i++) {
        static const uint32_t warm[] = {30, 200, 600};
        use_length(&rig, cache, &desc, warm[i]);
    }
    long before = count_files(folder);
    wrap_reset_calls();
    for (uint32_t i = 0; i < 50; i++) {
        use_length(&rig, cache, &desc, 1 + 13 * i);
    }
    cr_assert_eq(wrap_calls(WRAP_COMPILE), 0);
    gear_cache_destroy(cache);
    e2e_close(&rig);
    cr_assert_eq(count_files(folder), before, "files in the cache of the OpenCL compiler");
    remove_folder(folder);
}
