#define AAUNET_ISA avx512
#include "focal-loops.h"
