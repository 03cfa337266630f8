/* upload: writes words that travel as kernel arguments into a table. The host enqueues it instead of a buffer write, because
 * arguments are copied at enqueue time: no host memory has to outlive the call, and nothing waits. Two kernels: words as they
 * are; the lists of an append. */
#include "argument_words.clh"
#include "layout.h"

#define GEAR_PUT(n, component)                                                                                                 \
  if (first + n < count) {                                                                                                     \
    table[offset + first + n] = component;                                                                                     \
  }

/* Range: 64 work-items, the first twelve write 16 words each. */
__kernel void gear_k_upload(__global uint *table, uint offset, uint count, GEAR_ARGUMENT_WORDS)
{
    const uint i = (uint)get_global_id(0), first = 16u * i;
    if (i >= GEAR__UPLOAD_WORDS / 16u) {
        return;
    }
    const uint16 w = GEAR_WORDS_OF(i);
    GEAR_PUT(0u, w.s0)
    GEAR_PUT(1u, w.s1)
    GEAR_PUT(2u, w.s2)
    GEAR_PUT(3u, w.s3)
    GEAR_PUT(4u, w.s4)
    GEAR_PUT(5u, w.s5)
    GEAR_PUT(6u, w.s6)
    GEAR_PUT(7u, w.s7)
    GEAR_PUT(8u, w.s8)
    GEAR_PUT(9u, w.s9)
    GEAR_PUT(10u, w.sa)
    GEAR_PUT(11u, w.sb)
    GEAR_PUT(12u, w.sc)
    GEAR_PUT(13u, w.sd)
    GEAR_PUT(14u, w.se)
    GEAR_PUT(15u, w.sf)
}

/* Entries of a page table from a run of them (GEAR__RUN_*). */
GEAR__INLINE void gear_put_run(__global uint *table, uint8 r, uint lid)
{
    __global uint *out = table + (ulong)r.s0 * GEAR__BLOCK_WORDS;
    for (uint i = lid; i < r.s1; i += 64u) {
        const uint tokens = min(r.s6 - 64u * i, 64u);
        vstore4((uint4)(r.s2 + i * r.s3, r.s4, r.s5 + 64u * i, tokens | (r.s7 + (i << 16))), i, out);
    }
}

#if GEAR__JOB_SEGMENT || GEAR__JOB_TABLE != 1 || GEAR__JOB_BLOCKS != 2 || GEAR__JOB_TOKENS != 3 || GEAR__JOB_ROW != 4 ||       \
    GEAR__JOB_FIRST != 5 || GEAR__JOB_ENTRY != 6 || GEAR__JOB_CLASS != 7 || GEAR__JOB_OFFSET != 14 || GEAR__JOB_STEP != 15 ||  \
    GEAR__JOB_WORDS != 16 || GEAR__SEQ_WORDS != 8 || GEAR__SEQ_SLOT || GEAR__SEQ_LENGTH != 1 || GEAR__SEQ_ROW != 3 ||          \
    GEAR__SEQ_HEADER != 5 || GEAR__PLACE_HEADER != 12
#  error "words of a job, a sequence or a place are not where gear_k_upload_lists has them"
#endif

/* What an append needs to know, in one launch: sequences of the batch from first_seq on, 8 words each, with the headers of
 * their page table rows, which have row_entries entries; runs of page table entries, 8 words; jobs of a round from first_job
 * on, 16 words, with the entries of their blocks, and of each staging block the job and its place. Range: 64 work-items for
 * each of them. LONG_LISTS: more words travel at once. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_upload_lists(__global uint *seqs, __global uint *table,
                                                                                  __global uint *jobs, __global uint *row_jobs,
                                                                                  __global uint *places, uint row_entries,
                                                                                  uint first_seq, uint num_seqs, uint num_runs,
                                                                                  uint first_job, GEAR_LIST_WORDS)
{
    const uint i = (uint)get_group_id(0), lid = (uint)get_local_id(0), others = num_seqs + num_runs;
    const uint j = i - others, job = first_job + j, at = i < others ? i : others + 2u * j;
    uint8 words, more;
    GEAR_GET_LIST_WORDS(words, at)
    if (i < num_seqs) {
        if (lid == 0u) {
            vstore8(words, first_seq + i, seqs);
            vstore4((uint4)(words.s567, 0u), (ulong)words.s0 * row_entries, table); /* GEAR__SEQ_SLOT, GEAR__SEQ_HEADER */
        }
    } else if (i < others) {
        gear_put_run(table, words, lid);
    } else {
        GEAR_GET_LIST_WORDS(more, at + 1u)
        if (lid == 0u) {
            vstore8(words, 2u * job, jobs);
            vstore8(more, 2u * job + 1u, jobs);
        }
        const uint entry = words.s6, seq_at = entry - first_seq; /* GEAR__JOB_ENTRY; sent now or before */
        uint8 seq;
        if (seq_at < num_seqs) {
            GEAR_GET_LIST_WORDS(seq, seq_at)
        } else {
            seq = vload8(entry, seqs);
        }
        for (uint b = lid; b < words.s2; b += 64u) { /* GEAR__JOB_BLOCKS, GEAR__JOB_ROW */
            const uint row = words.s4 / 64u + b, offset = more.s7 == GEAR__NO_STEP ? GEAR__NO_STEP : more.s6 + b * more.s7;
            row_jobs[row] = job;
            vstore4((uint4)(entry, words.s5, words.s3, 0u), 4u * row, places); /* GEAR__PLACE_* */
            vstore4((uint4)(seq.s0, seq.s1, seq.s3, words.s7 | b << 16), 4u * row + 1u, places);
            vstore4((uint4)(offset, words.s0, words.s1 + b, 0u), 4u * row + 2u, places);
            vstore4((uint4)(seq.s567, 0u), 4u * row + 3u, places);
        }
        if (more.s7 != GEAR__NO_STEP) { /* GEAR__JOB_TABLE .. OFFSET, STEP, SEGMENT, FIRST, TOKENS, CLASS */
            gear_put_run(table, (uint8)(words.s1, words.s2, more.s6, more.s7, words.s0, words.s5, words.s3, words.s7 << 8),
                         lid);
        }
    }
}
