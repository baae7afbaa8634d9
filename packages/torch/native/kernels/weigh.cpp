#define AAUNET_ISA baseline
#include "weigh-loops.h"

#include "dispatch.h"

namespace aaunet {

namespace avx2 {
template <typename T>
struct WeighKernelsOf {
  static const WeighKernels<T> table;
};
}  // namespace avx2
namespace avx512 {
template <typename T>
struct WeighKernelsOf {
  static const WeighKernels<T> table;
};
}  // namespace avx512

template <typename T>
const WeighKernels<T>& weighKernels() {
  return forThisMachine(baseline::WeighKernelsOf<T>::table, avx2::WeighKernelsOf<T>::table, avx512::WeighKernelsOf<T>::table);
}

template const WeighKernels<double>& weighKernels();
template const WeighKernels<float>& weighKernels();
template const WeighKernels<Bf16>& weighKernels();

}  // namespace aaunet
