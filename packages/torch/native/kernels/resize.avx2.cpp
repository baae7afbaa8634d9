#define AAUNET_ISA avx2
#include "resize-loops.h"
