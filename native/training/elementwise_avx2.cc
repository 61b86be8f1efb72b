#define TRITSMITH_TABLE elementwiseAvx2
#include "training/elementwise_loops.h"
