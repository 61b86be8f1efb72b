#define TRITSMITH_TABLE elementwisePortable
#include "training/elementwise_loops.h"
