#define AAUNET_ISA baseline
#include "resize-loops.h"

#include "dispatch.h"

namespace aaunet {

namespace avx2 {
template <typename T>
struct ResizeKernelsOf {
  static const ResizeKernels<T> table;
};
}  // namespace avx2
namespace avx512 {
template <typename T>
struct ResizeKernelsOf {
  static const ResizeKernels<T> table;
};
}  // namespace avx512

template <typename T>
const ResizeKernels<T>& resizeKernels() {
  return forThisMachine(baseline::ResizeKernelsOf<T>::table, avx2::ResizeKernelsOf<T>::table, avx512::ResizeKernelsOf<T>::table);
}

template const ResizeKernels<double>& resizeKernels();
template const ResizeKernels<float>& resizeKernels();
template const ResizeKernels<Bf16>& resizeKernels();

}  // namespace aaunet
