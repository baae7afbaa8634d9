// A network that the registry does not have, made of the parts that it is made of, learns one slice by heart.
//   node examples/dist/own-network.js [STEPS]
import { CLASS_COUNT, sliceOf, stackThree, windowToInput } from '@aaunet/imaging';
import { cat, fromTypedArray, manualSeed, memoryStats, tidy, type Tensor } from '@aaunet/torch';
import { Conv2d, Layer } from '@aaunet/torch/nn';
import { AdamW } from '@aaunet/torch/optim';
import { generatePhantom } from 'aaunet';
import { focalLoss, ResNet, UNetDecoder } from 'aaunet/libtorch';

const SIZE = 64;

/** A U-Net whose head sees the image itself beside the decoder's output. */
class SharpUNet extends Layer {
  readonly encoder = new ResNet('resnet18', 3);
  readonly decoder = new UNetDecoder(this.encoder.channels);
  readonly head = new Conv2d(this.decoder.outChannels + 3, CLASS_COUNT, 3, { padding: 1 });

  override forward(image: Tensor): Tensor {
    return tidy(() => this.head.forward(cat([this.decoder.forward(this.encoder.forward(image)), image], 1)));
  }
}

const steps = Number(process.argv[2] ?? 60);
manualSeed(0);
using network = new SharpUNet();
using optimizer = new AdamW(network.namedParameters(), { weightDecay: 0.01 });

const { image, labels } = generatePhantom({ seed: 1, size: SIZE });
const firstLesion = labels.data.findIndex((label) => label > 0);
const slice = Math.floor(firstLesion / (SIZE * SIZE)) + 1;
using input = fromTypedArray(windowToInput(stackThree(image, slice)), [1, 3, SIZE, SIZE]);
using target = fromTypedArray(BigInt64Array.from(sliceOf(labels, slice), BigInt), [1, SIZE, SIZE]);
using weights = fromTypedArray(new Float32Array(CLASS_COUNT).fill(1).fill(0.1, 0, 1), [CLASS_COUNT]);

for (let step = 1; step <= steps; step++) {
  const value = tidy(() => {
    const loss = focalLoss(network.forward(input), target, weights);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step(1e-3);
    return Number(loss.item());
  });
  if (step === 1 || step % 20 === 0)
    console.log(`step ${step}: loss ${value.toFixed(5)}, ${memoryStats().tensors} tensors`);
}
