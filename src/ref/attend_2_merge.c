/* attend_2_merge.c: joins partial results of attention over disjoint ranges of positions. */
#include <math.h>
#include <string.h>

#include "ref/attend.h"

void gear__ref_attend_2_merge(uint32_t splits, uint32_t rows, uint32_t head_dim, const double *max, const double *sum,
                              const double *partial, double *out, double *lse)
{
    for (uint32_t row = 0; row < rows; row++) {
        double top = -INFINITY, total = 0, *to = out + (size_t)row * head_dim;
        for (uint32_t s = 0; s < splits; s++) {
            top = fmax(top, max[(size_t)s * rows + row]);
        }
        memset(to, 0, head_dim * sizeof *to);
        for (uint32_t s = 0; s < splits; s++) {
            size_t at = (size_t)s * rows + row;
            if (sum[at] > 0) {
                double weight = exp(max[at] - top);
                total += weight * sum[at];
                for (uint32_t c = 0; c < head_dim; c++) {
                    to[c] += weight * partial[at * head_dim + c];
                }
            }
        }
        for (uint32_t c = 0; c < head_dim && total > 0; c++) {
            to[c] /= total;
        }
        if (lse) {
            lse[row] = total > 0 ? top + log(total) : -INFINITY;
        }
    }
}

void gear__ref_attend(const gear__ref_attention *attention, double *out, double *lse)
{
    for (uint32_t row = 0; row < attention->query_heads * attention->queries; row++) {
        double max, sum, *to = out + (size_t)row * attention->head_dim;
        gear__ref_attend_row(attention, row, 0, attention->tokens + attention->tail, &max, &sum, to);
        for (uint32_t c = 0; c < attention->head_dim && sum > 0; c++) {
            to[c] /= sum;
        }
        if (lse) {
            lse[row] = sum > 0 ? max + log(sum) : -INFINITY;
        }
    }
}
