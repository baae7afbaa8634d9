// The one way to ONNX Runtime. Its library for Linux and macOS reports to its maker what it runs, a network's metadata and with them the
// name and counts of the training data included, unless it is told not to before it is loaded.
process.env['ORT_DISABLE_TELEMETRY'] = '1';

export const { env, InferenceSession, listSupportedBackends, Tensor } = await import('onnxruntime-node');
export type InferenceSession = import('onnxruntime-node').InferenceSession;
