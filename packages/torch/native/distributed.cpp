// Processes that train together: c10d's own store, process groups and gradient reducer.

#define USE_C10D_GLOO
#ifdef AAUNET_NCCL
#define USE_C10D_NCCL
#endif

#include "distributed.h"

#include "convert.h"
#include "errors.h"
#include "module.h"
#include "tensor.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <torch/library.h>
#ifdef AAUNET_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>

namespace aaunet {

namespace {

struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroup> processes;
  std::map<int64_t, std::shared_ptr<c10d::Reducer>> reducers;
  int64_t nextReducer = 0;
};

/// The group of this process. At the end of the process it is left alone: its destructor waits for peers that may be gone.
std::unique_ptr<Group>& held() {
  static auto* const group = new std::unique_ptr<Group>();
  return *group;
}

Group& joined() {
  TORCH_CHECK(held(), "this process has joined no group; join one first");
  return *held();
}

std::string text(const Napi::Object& options, const char* name) { return options.Get(name).ToString(); }
int64_t whole(const Napi::Object& options, const char* name) { return integer(options.Get(name), name); }

c10::intrusive_ptr<c10d::Backend> glooBackend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                              std::chrono::milliseconds timeout, const std::string& host) {
  auto options = c10d::ProcessGroupGloo::Options::create_default(timeout);
  // Processes of one machine need no network; elsewhere the device is the one that the host's name leads to.
  const bool local = host == "localhost" || host == "127.0.0.1";
  options->devices = {local ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                            : c10d::ProcessGroupGloo::createDefaultDevice()};
  return c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, size, options);
}

/// joinGroup({rank, size, host, port, isServer, attempt, timeoutMs, cuda}): returns when all processes have joined.
void joinGroup(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const int rank = static_cast<int>(whole(options, "rank")), size = static_cast<int>(whole(options, "size"));
  const std::string host = text(options, "host");
  const auto port = static_cast<uint16_t>(whole(options, "port"));
  const bool isServer = options.Get("isServer").ToBoolean();
  const std::string attempt = "attempt" + std::to_string(whole(options, "attempt"));
  const std::chrono::milliseconds timeout(whole(options, "timeoutMs"));
  const bool cuda = options.Get("cuda").ToBoolean();
  guarded(info.Env(), [&] { return "joining the group at " + host + ":" + std::to_string(port); }, [&] {
    TORCH_CHECK(!held(), "this process is in a group already");
    c10d::TCPStoreOptions storeOptions;
    storeOptions.port = port;
    storeOptions.isServer = isServer;
    storeOptions.numWorkers = static_cast<size_t>(size);
    storeOptions.timeout = timeout;
    storeOptions.useLibUV = false;  // LibTorch's libuv and Node's would be one by name
    auto group = std::make_unique<Group>();
    group->store = c10::make_intrusive<c10d::PrefixStore>(attempt, c10::make_intrusive<c10d::TCPStore>(host, storeOptions));
    group->processes = c10::make_intrusive<c10d::ProcessGroup>(group->store, rank, size);
    using Type = c10d::ProcessGroup::BackendType;
    group->processes->setBackend(c10::DeviceType::CPU, Type::GLOO, glooBackend(group->store, rank, size, timeout, host));
    group->processes->setDefaultBackend(Type::GLOO);
    if (cuda) {
#ifdef AAUNET_NCCL
      auto ncclOptions = c10d::ProcessGroupNCCL::Options::create();
      ncclOptions->timeout = timeout;
      c10::intrusive_ptr<c10d::Backend> nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(
          c10::make_intrusive<c10d::PrefixStore>("nccl", group->store), rank, size, ncclOptions);
      group->processes->setBackend(c10::DeviceType::CUDA, Type::NCCL, nccl);
#else
      TORCH_CHECK(false, "this addon was built without NCCL; build it against a CUDA LibTorch");
#endif
    }
    group->processes->setGroupName("aaunet");
    held() = std::move(group);
  });
}

void leaveGroup(const Napi::CallbackInfo&) { held().reset(); }

void storeSet(const Napi::CallbackInfo& info) {
  const std::string key = info[0].ToString(), value = info[1].ToString();
  guarded(info.Env(), [&] { return "telling the group '" + key + "'"; },
          [&] { joined().store->set(key, std::vector<uint8_t>(value.begin(), value.end())); });
}

/// storeGet(key): what a process has set, or null; does not wait for it.
Napi::Value storeGet(const Napi::CallbackInfo& info) {
  const std::string key = info[0].ToString();
  return guarded(info.Env(), [&] { return "asking the group for '" + key + "'"; }, [&]() -> Napi::Value {
    auto& store = *joined().store;
    if (!store.check({key})) return info.Env().Null();
    const auto value = store.get(key);
    return Napi::String::New(info.Env(), std::string(value.begin(), value.end()));
  });
}

/// Backends take a tensor's memory as it lies, whatever its strides.
void checkDense(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_non_overlapping_and_dense(), "expected a tensor that fills its memory, found strides ", tensor.strides(), " of shape ",
              tensor.sizes(), "; use contiguous()");
}

/// allReduce(tensor): its sum over all processes, in place.
void allReduce(const Napi::CallbackInfo& info) {
  std::vector<at::Tensor> tensors{TensorHandle::unwrap(info[0], "tensor")};
  guarded(info.Env(), [] { return std::string("allReduce"); }, [&] {
    checkDense(tensors[0]);
    joined().processes->allreduce(tensors)->wait();
  });
}

/// broadcast(tensor, root): the values of one process, in place.
void broadcast(const Napi::CallbackInfo& info) {
  std::vector<at::Tensor> tensors{TensorHandle::unwrap(info[0], "tensor")};
  c10d::BroadcastOptions options;
  options.rootRank = integer(info[1], "root");
  guarded(info.Env(), [] { return std::string("broadcast"); },
          [&] {
            checkDense(tensors[0]);
            joined().processes->broadcast(tensors, options)->wait();
          });
}

void barrier(const Napi::CallbackInfo& info) {
  std::vector<double> one{1};
  guarded(info.Env(), [] { return std::string("barrier"); }, [&] { sumOverGroup(one); });
}

/// Since 2.13 the Reducer takes the limits of all buckets, too, and no longer does without.
template <typename R = c10d::Reducer, typename... Options>
std::shared_ptr<R> reducer(const std::vector<at::Tensor>& parameters, const std::vector<std::vector<size_t>>& buckets,
                           const c10::intrusive_ptr<c10d::ProcessGroup>& processes, const std::vector<bool>& sparse,
                           int64_t bucketBytes, const Options&... options) {
  const std::vector<int64_t> limits{bucketBytes};
  if constexpr (std::is_constructible_v<R, decltype(parameters), decltype(buckets), decltype(processes), decltype(sparse), int64_t,
                                        const Options&..., decltype(limits)>)
    return std::make_shared<R>(parameters, buckets, processes, sparse, bucketBytes, options..., limits);
  else return std::make_shared<R>(parameters, buckets, processes, sparse, bucketBytes, options...);
}

/// makeReducer(names, parameters, bucketBytes): its number. Gradients are averaged in buckets while backward runs.
Napi::Value makeReducer(const Napi::CallbackInfo& info) {
  const Napi::Array names = info[0].As<Napi::Array>(), given = info[1].As<Napi::Array>();
  const int64_t bucketBytes = integer(info[2], "bucketBytes");
  std::vector<at::Tensor> parameters;
  std::unordered_map<size_t, std::string> namesByIndex;
  for (uint32_t i = 0; i < given.Length(); i++) {
    parameters.push_back(TensorHandle::unwrap(given.Get(i), "parameters"));
    namesByIndex[i] = names.Get(i).ToString();
  }
  return guarded(info.Env(), [] { return std::string("makeReducer"); }, [&]() -> Napi::Value {
    Group& group = joined();
    c10d::verify_params_across_processes(group.processes, parameters, std::nullopt);
    const int64_t firstBytes = std::min<int64_t>(bucketBytes, int64_t{1} << 20);
    const std::vector<bool> sparse(parameters.size(), false);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
        parameters, {static_cast<size_t>(firstBytes), static_cast<size_t>(bucketBytes)}, sparse);
    std::reverse(buckets.begin(), buckets.end());  // backward makes the last parameters' gradients first
    const int64_t id = group.nextReducer++;
    group.reducers[id] = reducer(parameters, buckets, group.processes, sparse, bucketBytes, /*find_unused_parameters=*/false,
                                 /*gradient_as_bucket_view=*/true, namesByIndex, firstBytes,
                                 /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false);
    return Napi::Number::New(info.Env(), static_cast<double>(id));
  });
}

/// prepareReducer(reducer): the next backward averages the gradients.
void prepareReducer(const Napi::CallbackInfo& info) {
  const int64_t id = integer(info[0], "reducer");
  guarded(info.Env(), [] { return std::string("prepareReducer"); }, [&] {
    c10d::Reducer& reducer = *joined().reducers.at(id);
    reducer.prepare_for_forward();
    if (reducer.should_rebuild_buckets()) reducer.rebuild_buckets();
    reducer.prepare_for_backward({});
  });
}

void dropReducer(const Napi::CallbackInfo& info) {
  if (held()) held()->reducers.erase(integer(info[0], "reducer"));
}

/// The sum over all processes; so is the gradient's.
class SumOverGroup : public torch::autograd::Function<SumOverGroup> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& input) {
    const at::AutoDispatchBelowADInplaceOrView below;
    std::vector<at::Tensor> sum{input.contiguous().clone()};
    joined().processes->allreduce(sum)->wait();
    return sum[0];
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*, torch::autograd::variable_list outputs) {
    std::vector<at::Tensor> sum{outputs[0].contiguous().clone()};
    joined().processes->allreduce(sum)->wait();
    return {sum[0]};
  }
};

at::Tensor groupSum(const at::Tensor& input) { return SumOverGroup::apply(input); }

}  // namespace

int groupSize() { return held() ? held()->processes->getSize() : 1; }

std::vector<std::vector<double>> gatherFromGroup(const std::vector<double>& values) {
  const at::NoGradGuard noGrad;
  const auto length = static_cast<int64_t>(values.size());
  at::Tensor mine = at::empty({length}, at::kDouble);
  std::copy(values.begin(), values.end(), mine.mutable_data_ptr<double>());
  std::vector<at::Tensor> all;
  for (int rank = 0; rank < groupSize(); rank++) all.push_back(at::empty({length}, at::kDouble));
  std::vector<std::vector<at::Tensor>> outputs{all};
  std::vector<at::Tensor> inputs{mine};
  joined().processes->allgather(outputs, inputs)->wait();
  std::vector<std::vector<double>> rows;
  for (const at::Tensor& row : outputs[0]) {
    const double* const data = row.const_data_ptr<double>();
    rows.emplace_back(data, data + length);
  }
  return rows;
}

void sumOverGroup(std::vector<double>& values) {
  const at::NoGradGuard noGrad;
  std::vector<at::Tensor> tensors{at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble)};
  joined().processes->allreduce(tensors)->wait();
}

TORCH_LIBRARY_FRAGMENT(aaunet, library) { library.def("group_sum(Tensor input) -> Tensor"); }

TORCH_LIBRARY_IMPL(aaunet, CompositeImplicitAutograd, library) { library.impl("group_sum", groupSum); }

void exportDistributed(Napi::Env env, Napi::Object exports) {
  exports.Set("joinGroup", Napi::Function::New<joinGroup>(env, "joinGroup"));
  exports.Set("leaveGroup", Napi::Function::New<leaveGroup>(env, "leaveGroup"));
  exports.Set("storeSet", Napi::Function::New<storeSet>(env, "storeSet"));
  exports.Set("storeGet", Napi::Function::New<storeGet>(env, "storeGet"));
  exports.Set("allReduce", Napi::Function::New<allReduce>(env, "allReduce"));
  exports.Set("broadcast", Napi::Function::New<broadcast>(env, "broadcast"));
  exports.Set("barrier", Napi::Function::New<barrier>(env, "barrier"));
  exports.Set("makeReducer", Napi::Function::New<makeReducer>(env, "makeReducer"));
  exports.Set("prepareReducer", Napi::Function::New<prepareReducer>(env, "prepareReducer"));
  exports.Set("dropReducer", Napi::Function::New<dropReducer>(env, "dropReducer"));
}

}  // namespace aaunet
