#define AAUNET_ISA avx2
#include "weigh-loops.h"
