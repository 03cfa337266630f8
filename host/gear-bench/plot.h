/* plot.h: SVG figures inside an HTML page: points and lines over two axes, and bars. */
#ifndef GEAR_BENCH_PLOT_H
#define GEAR_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { PLOT_MOST_SERIES = 128, PLOT_MOST_POINTS = 128, PLOT_MOST_LIMITS = 2, PLOT_TEXT = 384 };

typedef struct plot_series {
    char name[PLOT_TEXT];
    size_t count;
    double x[PLOT_MOST_POINTS], y[PLOT_MOST_POINTS];
    const char *label[PLOT_MOST_POINTS][2]; /* beside the point, one behind the other; borrowed; "": none */
} plot_series;

typedef struct plot {
    char title[160];
    const char *x_name, *y_name;
    bool log_x, log_y; /* values that are not above 0 are left out then */
    bool joined;       /* points of a series by lines */
    size_t num_limits;
    double limit[PLOT_MOST_LIMITS]; /* horizontal lines */
    const char *limit_name[PLOT_MOST_LIMITS];
    size_t count;
    plot_series series[PLOT_MOST_SERIES];
} plot;

/* The series of that name, made when it is new; NULL when there is no room. */
plot_series *plot_find(plot *p, const char *name);
/* Adds a point; one too many is left out. label, more: texts that outlive the plot. */
void plot_add(plot_series *s, double x, double y, const char *label, const char *more);
/* Writes the figure; nothing without a point. */
void plot_write(const plot *p, FILE *file);

/* Text as HTML and SVG take it. */
void plot_text(const char *text, FILE *file);

/* Horizontal bars in rows: begin, then for each row its name and the bars, then end. Full length is `most`; a line stands at
 * `line`. */
typedef struct plot_bars {
    FILE *file;
    double most, line;
    unsigned y;
} plot_bars;

void plot_bars_begin(plot_bars *b, const char *title, double most, double line, unsigned rows, unsigned bars, FILE *file);
void plot_bars_row(plot_bars *b, const char *name);
/* color: index of the device. */
void plot_bars_bar(plot_bars *b, unsigned color, double value, const char *text);
void plot_bars_end(plot_bars *b);

const char *plot_color(size_t index);

#endif
