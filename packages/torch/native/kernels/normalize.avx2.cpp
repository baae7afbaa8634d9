#define AAUNET_ISA avx2
#include "normalize-loops.h"
