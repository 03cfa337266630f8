/* The one place that states the version: CMake, the shared library's SOVERSION and pkg-config read it from here. */
#ifndef GEAR_VERSION_H
#define GEAR_VERSION_H

#define GEAR_VERSION_MAJOR 0
#define GEAR_VERSION_MINOR 1
#define GEAR_VERSION_PATCH 0

/* Changes whenever a byte of a stored block or segment record would be read differently (docs/format.md). */
#define GEAR_FORMAT_VERSION 2

#endif
