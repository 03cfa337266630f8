/* show.c: sorts, prints and exports the rows, see rows.h. */
#include <math.h>

#include "rows.h"

void rows_sort(row *rows, size_t count)
{
    for (size_t i = 1; i < count; ++i) {
        row r = rows[i];
        size_t at = i;
        /* A comparison with a NaN is false, so it is spelt out that those come last. */
        while (at && (rows[at - 1].bits_per_value > r.bits_per_value ||
                      (isnan(rows[at - 1].bits_per_value) && !isnan(r.bits_per_value)))) {
            rows[at] = rows[at - 1];
            --at;
        }
        rows[at] = r;
    }
}

static void print_replaced(const gear_health *replaced)
{
    if (replaced->nan_values)
        printf("%llu NaN of K and V were stored as 0\n", (unsigned long long)replaced->nan_values);
    if (replaced->inf_values)
        printf("%llu values of K and V are beyond half precision and were stored as +-65504\n",
               (unsigned long long)replaced->inf_values);
}

bool rows_print(const row *rows, size_t count, host_error *error)
{
    static const char *const header[] = {"codec",         "preset",   "bits/value", "bits/value, all", "rel K",    "rel V",
                                         "rel attention", "energy K", "energy V",   "append ms",       "attend ms"};
    enum { COLUMNS = sizeof header / sizeof header[0], NAMES = 2 };
    report_table table = {0};
    bool ok = table_add(&table, COLUMNS, header, error);
    for (size_t r = 0; ok && r < count; ++r) {
        const row *a = &rows[r];
        const double value[] = {a->bits_per_value, a->bits_all_tokens, a->rel_k,     a->rel_v,    a->rel_attention,
                                a->energy_k,       a->energy_v,        a->append_ms, a->attend_ms};
        static const int decimals[] = {3, 3, 4, 4, 4, 3, 3, 2, 2};
        char text[COLUMNS - NAMES][32];
        const char *cells[COLUMNS] = {a->name, a->preset ? a->preset : "-"};
        for (int c = 0; c < COLUMNS - NAMES; ++c) {
            report_number(value[c], decimals[c], text[c], sizeof text[c]);
            cells[c + NAMES] = text[c];
        }
        ok = table_add(&table, COLUMNS, cells, error);
    }
    if (ok)
        table_print(&table, stdout);
    if (ok && count)
        print_replaced(&rows[0].replaced);
    table_free(&table);
    return ok && stdout_ok(error);
}

static json_t *row_json(const row *r, const scoring *how)
{
    const char *order = !r->ordered ? NULL : how->weighted ? "queries" : "variance";
    return json_pack("{ss ss? ss? so so sI sI sI so so so so so so so so so}", "name", r->name, "preset", r->preset, "order",
                     order, "bits_per_value", report_real(r->bits_per_value), "bits_per_value_all_tokens",
                     report_real(r->bits_all_tokens), "compressed_tokens", (json_int_t)r->compressed, "nan_values",
                     (json_int_t)r->replaced.nan_values, "inf_values", (json_int_t)r->replaced.inf_values, "bytes",
                     report_bytes(&r->bytes), "rel_k", report_real(r->rel_k), "rel_v", report_real(r->rel_v), "rel_attention",
                     report_real(r->rel_attention), "rel_attention_all_queries", report_real(r->rel_attention_all),
                     "lowrank_energy_k", report_real(r->energy_k), "lowrank_energy_v", report_real(r->energy_v), "append_ms",
                     report_real(r->append_ms), "attend_ms", report_real(r->attend_ms));
}

json_t *rows_json(const row *rows, size_t count, const scoring *how, const device *dev)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; ++i)
        if (json_array_append_new(list, row_json(&rows[i], how))) {
            json_decref(list);
            list = NULL;
        }
    return json_pack("{so ss so}", "device", report_device(dev), "scored_queries", how->halved ? "second half" : "all", "rows",
                     list);
}
