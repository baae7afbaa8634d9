#include "environment.h"
#include "module.h"
#include "tensor.h"

namespace aaunet {

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  installAllocator();
  env.SetInstanceData(new std::shared_ptr<Environment>(std::make_shared<Environment>()));
  exports.Set("TensorHandle", TensorHandle::define(env));
  exportDispatch(env, exports);
  exportDistributed(env, exports);
  exportAutograd(env, exports);
  exportProfile(env, exports);
  exportRuntime(env, exports);
#ifdef AAUNET_CUDA
  exportCuda(env, exports);
#endif
  return exports;
}

}  // namespace aaunet

using aaunet::init;
NODE_API_MODULE(aaunet_torch, init)
