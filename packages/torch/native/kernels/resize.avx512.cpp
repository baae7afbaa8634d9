#define AAUNET_ISA avx512
#include "resize-loops.h"
