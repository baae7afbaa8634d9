#define AAUNET_ISA avx512
#include "weigh-loops.h"
