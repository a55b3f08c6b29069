/* The decoder as a shared library, for tests and benchmarks. */
#define TOD_IMPLEMENTATION
#include "tod.h"
