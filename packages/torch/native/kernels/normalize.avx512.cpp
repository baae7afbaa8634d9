#define AAUNET_ISA avx512
#include "normalize-loops.h"
