#define TRITSMITH_TABLE elementwiseAvx512
#include "training/elementwise_loops.h"
