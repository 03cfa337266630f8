/* modes.h: the subcommands. Each parses its own command line, whose argv[0] is the mode's word, and returns an exit code. */
#ifndef GEAR_LLM_MODES_H
#define GEAR_LLM_MODES_H

int mode_generate(int argc, char **argv);
int mode_eval(int argc, char **argv);
int mode_solve(int argc, char **argv);
int mode_batch(int argc, char **argv);

#endif
