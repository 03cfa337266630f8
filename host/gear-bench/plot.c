/* plot.c: see plot.h. */
#include "plot.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 1000, HEIGHT = 420, LEFT = 70, RIGHT = 350, TOP = 40, BOTTOM = 50, BAR = 14, NAMES = 500 };

const char *plot_color(size_t index)
{
    static const char *const colors[] = {"#1c4284", "#d1495b", "#2e8b57", "#b9770e", "#6a3d9a", "#17a2b8", "#7f4f24",
                                         "#555555", "#e377c2", "#8fb339", "#00429d", "#ff7f0e", "#40e0d0", "#000000"};
    return colors[index % (sizeof colors / sizeof *colors)];
}

void plot_text(const char *text, FILE *file)
{
    for (; *text; ++text) {
        if (*text == '<')
            fputs("&lt;", file);
        else if (*text == '>')
            fputs("&gt;", file);
        else if (*text == '&')
            fputs("&amp;", file);
        else if (*text == '"')
            fputs("&quot;", file);
        else
            fputc(*text, file);
    }
}

plot_series *plot_find(plot *p, const char *name)
{
    for (size_t i = 0; i < p->count; ++i)
        if (!strncmp(p->series[i].name, name, PLOT_TEXT - 1))
            return &p->series[i];
    if (p->count == PLOT_MOST_SERIES)
        return NULL;
    plot_series *s = &p->series[p->count++];
    s->count = 0;
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

void plot_add(plot_series *s, double x, double y, const char *label, const char *more)
{
    if (!s || s->count == PLOT_MOST_POINTS || !isfinite(x) || !isfinite(y))
        return;
    size_t at = s->count++;
    for (; at && s->x[at - 1] > x; --at) { /* in the order of x, for lines */
        s->x[at] = s->x[at - 1];
        s->y[at] = s->y[at - 1];
        memcpy(s->label[at], s->label[at - 1], sizeof s->label[at]);
    }
    s->x[at] = x;
    s->y[at] = y;
    s->label[at][0] = label;
    s->label[at][1] = more;
}

/* An axis: values from `low` to `high`, as they are or by their logarithm, onto pixels. */
typedef struct axis {
    bool log;
    double low, high;
    double from, to; /* pixels */
} axis;

static double place(const axis *a, double value)
{
    double low = a->log ? log(a->low) : a->low, high = a->log ? log(a->high) : a->high, v = a->log ? log(value) : value;
    return a->from + (v - low) / (high - low) * (a->to - a->from);
}

static bool shown(const plot *p, double x, double y)
{
    return (!p->log_x || x > 0) && (!p->log_y || y > 0);
}

static void stretch(axis *a, double value)
{
    a->low = value < a->low ? value : a->low;
    a->high = value > a->high ? value : a->high;
}

static void finish(axis *a)
{
    if (a->log) {
        a->low /= 1.3;
        a->high *= 1.3;
    } else {
        double room = a->high > a->low ? 0.08 * (a->high - a->low) : 1;
        a->low = a->low >= 0 && a->low < a->high / 2 ? 0 : a->low - room;
        a->high += room;
    }
}

/* A round step that gives about six ticks. */
static double round_step(double range)
{
    double power = pow(10, floor(log10(range / 6))), rest = range / 6 / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

static void tick(const axis *a, double value, bool is_x, FILE *file)
{
    double at = place(a, value);
    if (is_x)
        fprintf(file, "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.6g</text>\n",
                at, TOP, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 16, value);
    else
        fprintf(file, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4, value);
}

static void ticks(const axis *a, bool is_x, FILE *file)
{
    if (!a->log) {
        double step = round_step(a->high - a->low);
        for (double v = ceil(a->low / step) * step; v <= a->high; v += step)
            tick(a, fabs(v) < step / 1e6 ? 0 : v, is_x, file);
        return;
    }
    /* Powers of two where the range is small, else of ten. */
    double base = a->high / a->low < 3000 && a->high > 3 ? 2 : 10;
    double stride = base < 3 && a->high / a->low > 300 ? 4 : base;
    for (double v = pow(base, ceil(log(a->low) / log(base))); v <= a->high; v *= stride)
        tick(a, v, is_x, file);
}

static void draw_series(const plot *p, const plot_series *s, size_t index, const axis *x, const axis *y, FILE *file)
{
    const char *color = plot_color(index);
    bool begun = false;
    if (p->joined) {
        fprintf(file, "<path fill=\"none\" stroke-width=\"1.5\" stroke=\"%s\" d=\"", color);
        for (size_t i = 0; i < s->count; ++i)
            if (shown(p, s->x[i], s->y[i])) {
                fprintf(file, "%c%.1f %.1f", begun ? 'L' : 'M', place(x, s->x[i]), place(y, s->y[i]));
                begun = true;
            }
        fputs("\"/>\n", file);
    }
    for (size_t i = 0; i < s->count; ++i) {
        if (!shown(p, s->x[i], s->y[i]))
            continue;
        double px = place(x, s->x[i]), py = place(y, s->y[i]);
        fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>", px, py, color);
        if (s->label[i][0][0]) {
            fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">", px + 6, py - 5);
            plot_text(s->label[i][0], file);
            fputs(s->label[i][1][0] ? " " : "", file);
            plot_text(s->label[i][1], file);
            fputs("</text>", file);
        }
        fputc('\n', file);
    }
    fprintf(file, "<rect x=\"%d\" y=\"%zu\" width=\"10\" height=\"10\" fill=\"%s\"/><text x=\"%d\" y=\"%zu\">",
            WIDTH - RIGHT + 14, TOP + 15 * index, color, WIDTH - RIGHT + 30, TOP + 9 + 15 * index);
    plot_text(s->name, file);
    fputs("</text>\n", file);
}

static void draw_limits(const plot *p, const axis *y, FILE *file)
{
    for (size_t i = 0; i < p->num_limits; ++i) {
        double at = place(y, p->limit[i]);
        fprintf(file, "<path class=\"limit\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\">%s %.4g</text>\n", LEFT, at,
                WIDTH - RIGHT, LEFT + 4, at + (i ? 14 : -4), p->limit_name[i], p->limit[i]);
    }
}

void plot_write(const plot *p, FILE *file)
{
    axis x = {p->log_x, INFINITY, -INFINITY, LEFT, WIDTH - RIGHT}, y = {p->log_y, INFINITY, -INFINITY, HEIGHT - BOTTOM, TOP};
    for (size_t s = 0; s < p->count; ++s)
        for (size_t i = 0; i < p->series[s].count; ++i)
            if (shown(p, p->series[s].x[i], p->series[s].y[i])) {
                stretch(&x, p->series[s].x[i]);
                stretch(&y, p->series[s].y[i]);
            }
    if (!isfinite(x.low))
        return;
    for (size_t i = 0; i < p->num_limits; ++i)
        stretch(&y, p->limit[i]);
    finish(&x);
    finish(&y);
    unsigned height = TOP + 15 * (unsigned)p->count + 10;
    height = height > HEIGHT ? height : HEIGHT;
    fprintf(file, "<figure><svg viewBox=\"0 0 %d %u\" width=\"%d\" height=\"%u\"><text class=\"title\" x=\"%d\" y=\"20\">",
            WIDTH, height, WIDTH, height, LEFT);
    plot_text(p->title, file);
    fputs("</text>\n", file);
    ticks(&x, true, file);
    ticks(&y, false, file);
    fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12,
            p->x_name);
    fprintf(file, "<text x=\"16\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 16 %d)\">%s</text>\n", HEIGHT / 2,
            HEIGHT / 2, p->y_name);
    draw_limits(p, &y, file);
    for (size_t s = 0; s < p->count; ++s)
        draw_series(p, &p->series[s], s, &x, &y, file);
    fputs("</svg></figure>\n", file);
}

void plot_bars_begin(plot_bars *b, const char *title, double most, double line, unsigned rows, unsigned bars, FILE *file)
{
    unsigned height = TOP + rows * 6 + rows * bars * BAR + 20;
    *b = (plot_bars){.file = file, .most = most > 0 ? most : 1, .line = line, .y = TOP};
    fprintf(file, "<figure><svg viewBox=\"0 0 %d %u\" width=\"%d\" height=\"%u\"><text class=\"title\" x=\"10\" y=\"20\">",
            WIDTH, height, WIDTH, height);
    plot_text(title, file);
    fputs("</text>\n", file);
    double at = NAMES + line / b->most * (WIDTH - NAMES - 90);
    if (line <= b->most)
        fprintf(file, "<path class=\"limit\" d=\"M%.1f %dV%u\"/>\n", at, TOP - 4, height - 10);
}

void plot_bars_row(plot_bars *b, const char *name)
{
    b->y += 6;
    fprintf(b->file, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", NAMES - 8, b->y + BAR - 3);
    plot_text(name, b->file);
    fputs("</text>\n", b->file);
}

void plot_bars_bar(plot_bars *b, unsigned color, double value, const char *text)
{
    double width = isfinite(value) && value > 0 ? value / b->most * (WIDTH - NAMES - 90) : 0;
    fprintf(b->file, "<rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/><text x=\"%.1f\" y=\"%u\">", NAMES,
            b->y, width, BAR - 2, plot_color(color), NAMES + width + 5, b->y + BAR - 3);
    plot_text(text, b->file);
    fputs("</text>\n", b->file);
    b->y += BAR;
}

void plot_bars_end(plot_bars *b)
{
    fputs("</svg></figure>\n", b->file);
}
