"""One network in PyTorch or ONNX Runtime: training steps or inference, at the driver's word (see worker.py).

usage: network.py '{"model": "rsu-sc", "engine": "eager", "phase": "train", "size": 512, "batch": 2, "dtype": "fp32",
"device": "cpu", "threads": 2}'

engine: eager (channels last), nchw (eager, channels first), compile (for inference with frozen weights) or onnxruntime
(inference in float32).
"""

import json
import sys
import tempfile

import torch
from torch._inductor import config as inductor

import worker
from networks import CLASSES, build

settings = json.loads(sys.argv[1])
model, engine, phase = settings['model'], settings['engine'], settings['phase']
size, batch, dtype, device = settings['size'], settings['batch'], settings['dtype'], settings['device']
torch.set_num_threads(settings['threads'])
torch.manual_seed(0)


def in_bfloat16():
    return torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == 'bf16')


def guard_wide_convolutions(network):
    """oneDNN 3.12's bf16 AMX kernel for 1x1 convolutions from over 2,048 to under 16 channels writes out of bounds."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.in_channels > 2048 and module.out_channels < 16:

            def forward(x, conv=module):
                with torch.autocast(device, enabled=False):
                    return torch.nn.functional.conv2d(x.float(), conv.weight, conv.bias)

            module.forward = forward


def focal_loss(logits, target, weights):
    log_p = torch.log_softmax(logits.float(), 1).gather(1, target[:, None])[:, 0]
    return (weights[target] * (1 - log_p.exp()) ** 2 * -log_p).mean()


def training(network, image):
    forward = torch.compile(network) if engine == 'compile' else network
    target = torch.randint(0, CLASSES, (batch, size, size), device=device)
    weights = torch.rand(CLASSES, device=device)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with in_bfloat16():
            logits = forward(image)
        loss = focal_loss(logits, target, weights)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference(network, image):
    network.eval()
    if engine == 'onnxruntime':
        return onnxruntime_inference(network, image)
    if engine == 'compile':
        inductor.freezing = True
    forward = torch.compile(network) if engine == 'compile' else network

    @torch.no_grad()
    def infer():
        with in_bfloat16():
            return forward(image).max().item()

    return infer


def onnxruntime_inference(network, image):
    import onnxruntime

    image = image.contiguous()
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/network.onnx'
        torch.onnx.export(network.to(memory_format=torch.contiguous_format), image, path, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings['threads']
        providers = ['CUDAExecutionProvider'] if device == 'cuda' else ['CPUExecutionProvider']
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    name = session.get_inputs()[0].name
    values = image.cpu().numpy()
    return lambda: session.run(None, {name: values})[0].max()


baseline = worker.resident_mib()
network = build(model)
parameters = sum(parameter.numel() for parameter in network.parameters())
if dtype == 'bf16':
    guard_wide_convolutions(network)
memory_format = torch.contiguous_format if engine == 'nchw' else torch.channels_last
network = network.to(device, memory_format=memory_format)
image = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=memory_format)
run = training(network, image) if phase == 'train' else inference(network, image)
if engine == 'onnxruntime':
    del network
worker.serve(run, parameters=parameters, baselineMib=baseline, torch=torch.__version__)
